package ratelimit

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"slices"
	"syscall"
	"time"
)

// interval is how often this instance tells the store that it lives: in time, if
// one attempt fails, and the next.
func (s *Shared) interval() time.Duration { return s.options.Lease / 3 }

// wake has the next beat come at once.
func (s *Shared) wake() {
	select {
	case s.poke <- struct{}{}:
	default: // It does already.
	}
}

// start tries the store for the first time.
func (s *Shared) start() {
	s.dialing.Dialer.ControlContext = func(context.Context, string, string, syscall.RawConn) error {
		s.wake() // The store may have been away for a moment, and have forgotten.
		return nil
	}
	if err := s.visit(); err != nil {
		s.stats.outages.Add(1)
		s.options.Logger.Warn("the store of the limits can't be had: each instance counts alone, up to its share",
			slog.Any("error", err), slog.Int64("instances", s.options.Instances))
	}
}

// beat visits the store until ctx ends.
func (s *Shared) beat(ctx context.Context) {
	for {
		spell, down := s.now()
		pause := s.interval()
		if down {
			pause = s.options.Retry
		}
		timer := time.NewTimer(pause)
		poke := s.poke
		if down {
			poke = nil // It is tried no more often for that.
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-poke:
			timer.Stop()
			if _, down := s.now(); down {
				continue
			}
		}
		if err := s.visit(); err != nil { //nolint:contextcheck // Calls to the store outlive who asks.
			s.lost(spell, err)
		}
	}
}

// now returns the spell, and whether the store is away in it.
func (s *Shared) now() (spell int, down bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.spell, s.ledger.down
}

// up reports whether the store has been there for all of a spell.
func (s *Shared) up(spell int) bool {
	now, down := s.now()
	return now == spell && !down
}

// lost has this instance count alone, as a call of a spell has failed.
func (s *Shared) lost(spell int, err error) {
	s.ledger.mu.Lock()
	first := !s.ledger.down && s.ledger.spell == spell
	if first {
		s.ledger.down = true
		s.ledger.spell++
	}
	instances := s.ledger.instances
	s.ledger.mu.Unlock()
	if !first {
		return
	}
	s.stats.outages.Add(1)
	s.options.Logger.Warn("the store of the limits is lost: each instance counts alone, up to its share",
		slog.Any("error", err), slog.Int64("instances", instances))
	s.wake()
}

// visit tells the store that this instance lives and which streams are open, and
// hears how many instances there are, and whether the store has forgotten what it
// was told. If the store was away, it is back when visit returns no error.
func (s *Shared) visit() error {
	if s.store.Load() == nil {
		st, err := dial(s.dialing)
		if err != nil {
			return err
		}
		s.store.Store(st)
	}
	proposed := rand.Text()
	replies, err := s.wait(s.soon(),
		func(st *store) (reply, error) { return st.mark(proposed) },
		func(st *store) (reply, error) { return st.take(instancesKey, s.options.Lease, noLimit, s.id) })
	if err != nil {
		return err
	}
	now := time.Now()
	forgot := s.remember(replies[0].mark, replies[0].mark == proposed, now)
	if err := s.renew(); err != nil {
		return err
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.count(replies[1].held, s.options.Lease, now)
	outage := s.ledger.down && s.stats.outages.Load() > 0
	if s.ledger.down {
		s.ledger.down = false
		s.ledger.spell++
	}
	if outage || forgot {
		// By then each instance has told the store of its streams.
		s.ledger.alone = time.Now().Add(s.interval())
		s.options.Logger.Info("the store of the limits is there again",
			slog.Bool("forgot", forgot), slog.Int64("instances", s.ledger.instances))
	}
	return nil
}

// remember notes the store's mark, and reports whether the store has forgotten what
// it was told. A store that has none yet may have, if it couldn't be had before.
func (s *Shared) remember(mark string, isNew bool, now time.Time) (forgot bool) {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	forgot = l.mark != "" && l.mark != mark || l.mark == "" && isNew && s.stats.outages.Load() > 0
	l.mark = mark
	if forgot {
		l.forgot = now
		for _, w := range l.windows.open {
			w.alone = true
		}
	}
	return forgot
}

// count takes over how many instances there are: fewer than before only once that
// has been so for the life of a lease, as a store that has just begun knows few.
func (l *ledger) count(instances int64, life time.Duration, now time.Time) {
	if instances >= l.instances || now.Sub(l.many) > life {
		l.instances, l.many = max(instances, 1), now
	}
}

// renewed is how many leases are renewed by one command, and renewals how many
// commands are on their way at once.
const (
	renewed  = 500
	renewals = 32
)

// renew renews the leases of all streams that are open here.
func (s *Shared) renew() error {
	held := s.ledger.leases()
	var calls []call
	for scope, names := range held {
		for names := range slices.Chunk(names, renewed) {
			calls = append(calls, func(st *store) (reply, error) {
				return st.take(leasesKey(scope), s.options.Lease, noLimit, names...)
			})
		}
	}
	for calls := range slices.Chunk(calls, renewals) {
		if _, err := s.wait(s.soon(), calls...); err != nil {
			return err
		}
	}
	return s.dropEnded(held)
}

// dropEnded gives back those leases that were renewed while their streams ended.
func (s *Shared) dropEnded(renewed map[string][]string) error {
	var calls []call
	still := s.ledger.leases()
	for scope, names := range renewed {
		open := make(map[string]struct{}, len(still[scope]))
		for _, name := range still[scope] {
			open[name] = struct{}{}
		}
		ended := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			_, is := open[name]
			return is
		})
		if len(ended) > 0 {
			calls = append(calls, func(st *store) (reply, error) { return st.give(leasesKey(scope), ended...) })
		}
	}
	for calls := range slices.Chunk(calls, renewals) {
		if _, err := s.wait(s.soon(), calls...); err != nil {
			return err
		}
	}
	return nil
}

// leases are those of the streams that are open here, by scope.
func (l *ledger) leases() map[string][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string][]string, len(l.streams))
	for scope, s := range l.streams {
		if len(s.leases) > 0 {
			all[scope] = slices.Collect(maps.Keys(s.leases))
		}
	}
	return all
}

// leave tells the store that this instance is gone, and counts alone from here on.
func (s *Shared) leave() {
	s.ledger.mu.Lock()
	there := !s.ledger.down
	s.ledger.down = true
	s.ledger.spell++
	s.ledger.mu.Unlock()
	if !there {
		return
	}
	calls := []call{func(st *store) (reply, error) { return st.give(instancesKey, s.id) }}
	for scope, names := range s.ledger.leases() {
		calls = append(calls, func(st *store) (reply, error) { return st.give(leasesKey(scope), names...) })
	}
	// What can't be told expires.
	_, _ = s.wait(s.soon(), calls...)
}
