package ratelimit

import (
	"errors"
	"time"
)

// call is one question to the store.
type call func(*store) (reply, error)

// errClosed is what calls fail with once the limiter is closed, or before it has
// been connected.
var errClosed = errors.New("there is no connection to the store")

// errTimeout is what calls fail with that aren't answered in time.
var errTimeout = errors.New("the store doesn't answer in time")

// wait asks the store all at once, in one round trip, and waits for the answers
// until then. An answer that isn't there is nil; then there is an error. A
// call that is given up may reach the store nevertheless.
func (s *Shared) wait(until time.Time, calls ...call) ([]*reply, error) {
	replies := make([]*reply, len(calls))
	st, ok := s.begin(len(calls))
	if !ok {
		return replies, errClosed
	}
	type answer struct {
		i     int
		reply reply
		err   error
	}
	answers := make(chan answer, len(calls))
	began := time.Now()
	for i, call := range calls {
		go func() {
			defer s.calls.Done()
			answered, err := call(st)
			answers <- answer{i, answered, err}
		}()
	}
	defer func() {
		s.stats.calls.Add(1)
		s.stats.time.Add(int64(time.Since(began)))
	}()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var failed error
	for range calls {
		select {
		case a := <-answers:
			if a.err != nil {
				failed = a.err
				continue
			}
			replies[a.i] = &a.reply
		case <-timer.C:
			return replies, errTimeout
		}
	}
	return replies, failed
}

// soon is until when the store may take to answer.
func (s *Shared) soon() time.Time { return time.Now().Add(s.options.Timeout) }

// begin announces calls, unless the limiter is closed or has no connection yet.
func (s *Shared) begin(calls int) (*store, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.store.Load()
	if s.closed || st == nil {
		return nil, false
	}
	s.calls.Add(calls)
	return st, true
}

// ask asks the store about a request, and has it count the request if there is
// room.
func (s *Shared) ask(r *reservation) (v verdict, err error) {
	if r.check {
		if err := s.look(r, &v); err != nil || v.refusal != nil {
			return v, err
		}
	}
	var calls []call
	var places []int
	for i, c := range r.all {
		if c.kind == RequestsPerMinute {
			calls, places = append(calls, func(st *store) (reply, error) { return st.count(c, 1) }), append(places, i)
		} else if !r.check { // then it isn't a stream either
			calls, places = append(calls, func(st *store) (reply, error) { return st.count(c, 0) }), append(places, i)
		}
	}
	if len(calls) == 0 {
		return v, nil
	}
	replies, err := s.wait(r.until, calls...)
	now := time.Now()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for k, answer := range replies {
		if answer == nil {
			continue
		}
		i := places[k]
		c := r.all[i]
		room := answer.left > 0
		if c.kind == RequestsPerMinute {
			r.told[i] = true
			room = answer.allowed
		}
		s.heard(r, i, *answer, now)
		v.note(c, room, answer.left, answer.reset.Sub(now))
	}
	return v, err
}

// look asks the store for the room of all limits, takes the leases of a stream, and
// tells what it hasn't been told yet.
func (s *Shared) look(r *reservation, v *verdict) error {
	calls := make([]call, len(r.all))
	for i, c := range r.all {
		unshared := r.unshared[i]
		calls[i] = func(st *store) (reply, error) { return st.count(c, unshared) }
		if c.kind == ConcurrentStreams {
			calls[i] = func(st *store) (reply, error) {
				return st.take(leasesKey(c.scope), s.options.Lease, c.limit, r.lease)
			}
		}
	}
	replies, err := s.wait(r.until, calls...)
	now := time.Now()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for i, answer := range replies {
		if answer == nil {
			continue
		}
		s.heard(r, i, *answer, now)
		r.unshared[i] = 0
		if c := r.all[i]; c.kind == ConcurrentStreams {
			r.taken = r.taken || answer.taken
			v.note(c, answer.taken, 0, streamRetry)
		} else {
			v.note(c, answer.left > 0, answer.left, answer.reset.Sub(now))
		}
	}
	return err
}

// heard notes an answer. It needs the ledger's mu.
func (s *Shared) heard(r *reservation, i int, answer reply, now time.Time) {
	if s.ledger.learn(r, i, answer, now) {
		s.ledger.alone = now.Add(s.interval())
		s.wake()
	}
}

// giveBack gives back the leases of a stream that isn't admitted.
func (s *Shared) giveBack(r *reservation) {
	if r == nil || !r.taken {
		return
	}
	s.tell(r.spell, r.until, s.releases(r)...)
}

// releases are the calls that give back a request's leases.
func (s *Shared) releases(r *reservation) (calls []call) {
	for _, c := range r.all {
		if c.kind == ConcurrentStreams {
			calls = append(calls, func(st *store) (reply, error) { return st.give(leasesKey(c.scope), r.lease) })
		}
	}
	return calls
}

// tell tells the store what decides nothing any more, unless it is away.
func (s *Shared) tell(spell int, until time.Time, calls ...call) []*reply {
	if len(calls) == 0 || !s.up(spell) {
		return make([]*reply, len(calls))
	}
	replies, err := s.wait(until, calls...)
	if err != nil {
		s.lost(spell, err)
	}
	return replies
}

// end counts what is known at the end of a request.
func (s *Shared) end(r *reservation, tokens int64) {
	spell, tell := s.ledger.end(r, tokens, time.Now())
	if !tell {
		return
	}
	calls := s.releases(r)
	var used []counter
	if tokens > 0 {
		for _, c := range r.all {
			if c.kind.tokens() {
				used = append(used, c)
			}
		}
	}
	first := len(calls)
	for _, c := range used {
		calls = append(calls, func(st *store) (reply, error) { return st.count(c, tokens) })
	}
	replies := s.tell(spell, s.soon(), calls...)
	now := time.Now()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for k, c := range used {
		if answer := replies[first+k]; answer == nil {
			s.ledger.untold(c, tokens, now)
		} else if _, forgot := s.ledger.confirm(c, *answer, now); forgot {
			s.wake()
		}
	}
}
