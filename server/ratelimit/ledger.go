package ratelimit

import (
	"sync"
	"time"
)

// ledger is what one instance of many knows: what it has counted itself, and what
// it has heard from the store. It goes on when the store is away.
type ledger struct {
	mu        sync.Mutex
	windows   windows             // guarded by mu
	streams   map[string]*streams // guarded by mu, by scope
	instances int64               // guarded by mu
	many      time.Time           // guarded by mu: when there last were as many
	mark      string              // guarded by mu: the store's
	// down says that the store is away. spell counts how often that has changed, so
	// that a call that fails late tells nothing of what is now.
	down  bool // guarded by mu
	spell int  // guarded by mu
	// forgot is when the store last turned out to have forgotten what it was told,
	// and alone is until when streams are held to this instance's share.
	forgot time.Time // guarded by mu
	alone  time.Time // guarded by mu
}

// streams are those of a scope that are open here.
type streams struct {
	open   int64               // with those that the store is being asked about
	leases map[string]struct{} // of those that were admitted
	ended  int64
}

// reservation is a request that this instance has counted and the store hasn't.
type reservation struct {
	all   []counter
	spell int
	down  bool
	lease string // names the request's stream
	taken bool   // The store has a lease of it.
	// By their place in all: the window of requests that it is counted in, whether
	// the store was told, and what the store is to be told besides.
	counted  []*window
	told     []bool
	unshared []int64
	// until is when the request stops waiting for the store.
	until time.Time
	// check says that the store is to be asked for room before it counts.
	check bool
	// expected is how many leases of a scope the store must know, but for those that
	// end meanwhile.
	expected map[string]int64
}

// share is what one instance may use of a limit.
func (l *ledger) share(limit int64) int64 {
	share := limit / l.instances
	if limit%l.instances > 0 {
		share++
	}
	return share
}

// window returns the one that a limit counts in.
func (l *ledger) window(c counter, now time.Time) *window {
	w, begun := l.windows.at(c, now)
	if begun {
		l.mistrust(c, w, now)
	}
	return w
}

// mistrust has a window that begins held to this instance's share if others may
// have counted in one that is open yet, and that the store has forgotten.
func (l *ledger) mistrust(c counter, w *window, now time.Time) {
	w.alone = !l.forgot.IsZero() && now.Before(l.forgot.Add(c.kind.length()))
}

// scope returns the streams of a scope.
func (l *ledger) scope(name string) *streams {
	s := l.streams[name]
	if s == nil {
		s = &streams{leases: make(map[string]struct{})}
		l.streams[name] = s
	}
	return s
}

// reserve counts a request, unless this instance alone knows that a limit is used
// up.
func (l *ledger) reserve(all []counter, lease string, now time.Time) (*reservation, verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.judge(all, false, now)
	if v.refusal != nil {
		return nil, v
	}
	r := &reservation{
		all: all, spell: l.spell, down: l.down, lease: lease,
		counted: make([]*window, len(all)), told: make([]bool, len(all)), unshared: make([]int64, len(all)),
	}
	for i, c := range all {
		if c.kind == ConcurrentStreams {
			s := l.scope(c.scope)
			if r.expected == nil {
				r.expected = make(map[string]int64)
			}
			r.expected[c.scope] = int64(len(s.leases)) + s.ended
			s.open++
			r.check = true
			continue
		}
		w := l.window(c, now)
		if !l.down {
			r.unshared[i], w.unshared = w.unshared, 0
		}
		r.check = r.check || r.unshared[i] > 0 || w.alone || !w.confirmed || w.used >= c.limit-c.limit/8
		if c.kind == RequestsPerMinute {
			w.count++
			r.counted[i] = w
		}
	}
	if l.down {
		l.admitted(r)
		v = l.judge(all, true, now) // what is left
	}
	return r, v
}

// judge says what this instance alone knows of the room that limits have for a
// request, which is counted already or not. It needs mu.
func (l *ledger) judge(all []counter, counted bool, now time.Time) (v verdict) {
	var mine int64
	if counted {
		mine = 1
	}
	for _, c := range all {
		share := l.share(c.limit)
		if c.kind == ConcurrentStreams {
			if l.down || now.Before(l.alone) {
				v.note(c, l.scope(c.scope).open-mine < share, 0, streamRetry)
			}
			continue
		}
		w := l.window(c, now)
		reset := w.end.Sub(now)
		switch {
		case l.down || w.alone:
			before := w.count
			if c.kind == RequestsPerMinute {
				before -= mine
			}
			v.note(c, before < share, share-w.count, reset)
		case !counted && w.confirmed:
			// A window that is used up stays so until it is over.
			v.note(c, w.used < c.limit, c.limit-w.used, reset)
		}
	}
	return v
}

// learn notes what the store has answered about the limit at a place, and reports
// whether the store has forgotten what it was told. It needs mu.
func (l *ledger) learn(r *reservation, i int, answer reply, now time.Time) (forgot bool) {
	c := r.all[i]
	if c.kind == ConcurrentStreams {
		// What ended meanwhile may have been given back before or after the store
		// looked.
		return answer.taken && answer.held < r.expected[c.scope]-l.scope(c.scope).ended+1
	}
	w, forgot := l.confirm(c, answer, now)
	if w != nil && r.counted[i] != nil && r.counted[i] != w {
		// It counts in the window that has begun meanwhile.
		r.counted[i].count--
		w.count++
		r.counted[i] = w
	}
	return forgot
}

// skew is how far the clocks of the instances may be apart: a window that ends
// within this time is taken for over if the store has begun another.
const skew = time.Second

// confirm takes over what the store says of a window. It returns the window that
// was meant, nil if that is none that this instance counts in, and whether the
// store has forgotten it. It needs mu.
func (l *ledger) confirm(c counter, answer reply, now time.Time) (w *window, forgot bool) {
	w = l.window(c, now)
	late := answer.reset.Sub(w.end)
	switch {
	case !w.confirmed && (!w.alone || late < skew):
		w.end, w.confirmed = answer.reset, true
	case late == 0:
	case late > 0 && w.end.Sub(now) < skew:
		w = l.windows.begin(windowID{c.scope, c.kind}, answer.reset, now)
		w.confirmed = true
		l.mistrust(c, w, now)
	case late > 0:
		forgot = !w.alone
		w.alone = true
		return nil, forgot
	default:
		return nil, false // A late answer about a window that is over.
	}
	w.used = max(w.used, c.limit-answer.left)
	return w, false
}

// settle ends the reservation of a request that the store has room for, or that it
// couldn't be asked about: then this instance's share decides.
func (l *ledger) settle(r *reservation, now time.Time) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.judge(r.all, true, now)
	if v.refusal == nil {
		l.admitted(r)
	} else {
		l.takeBack(r)
	}
	return v
}

// admitted notes a request that is let through. It needs mu.
func (l *ledger) admitted(r *reservation) {
	for i, c := range r.all {
		if c.kind == ConcurrentStreams {
			l.scope(c.scope).leases[r.lease] = struct{}{}
		}
		if w := r.counted[i]; w != nil && !r.told[i] {
			w.unshared++
		}
	}
	l.restore(r)
}

// refused takes back a request that the store has no room for.
func (l *ledger) refused(r *reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeBack(r)
}

// takeBack uncounts a request. It needs mu.
func (l *ledger) takeBack(r *reservation) {
	for i, c := range r.all {
		if c.kind == ConcurrentStreams {
			l.closed(c.scope)
		}
		if w := r.counted[i]; w != nil {
			w.count--
		}
	}
	l.restore(r)
}

// restore keeps what the store couldn't be told for the next time. It needs mu.
func (l *ledger) restore(r *reservation) {
	now := time.Now()
	for i, c := range r.all {
		if r.unshared[i] > 0 {
			w := l.window(c, now)
			w.unshared = plus(w.unshared, r.unshared[i])
			r.unshared[i] = 0
		}
	}
}

// closed notes that one stream less is open. It needs mu.
func (l *ledger) closed(scope string) {
	s := l.scope(scope)
	if s.open--; s.open == 0 && len(s.leases) == 0 {
		delete(l.streams, scope)
	}
}

// end counts what is known at the end of a request. It reports whether the store
// can be told, and in which spell.
func (l *ledger) end(r *reservation, tokens int64, now time.Time) (spell int, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range r.all {
		switch {
		case c.kind == ConcurrentStreams:
			s := l.scope(c.scope)
			delete(s.leases, r.lease)
			s.ended++
			l.closed(c.scope)
		case c.kind.tokens():
			w := l.window(c, now)
			w.count = plus(w.count, tokens)
			if l.down {
				w.unshared = plus(w.unshared, tokens)
			}
		default:
		}
	}
	return l.spell, !l.down
}

// untold notes tokens that the store couldn't be told of. It needs mu.
func (l *ledger) untold(c counter, tokens int64, now time.Time) {
	w := l.window(c, now)
	w.unshared = plus(w.unshared, tokens)
}
