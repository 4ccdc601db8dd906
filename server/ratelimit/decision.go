package ratelimit

import (
	"sync/atomic"
	"time"
)

// Decision is the result of [Limiter.Admit]. The zero value admits a request without
// limits.
type Decision struct {
	// Rejection is the reason why the request is not admitted, or nil if it is admitted.
	Rejection *Rejection
	// States are the limits that are closest to being used up, including this request.
	States States
	// Shared reports whether Redis decided, rather than this instance alone.
	Shared bool

	end   func(tokens int64) // nil if there is nothing to do at the end
	ended atomic.Bool
}

// Rejection identifies the limit that is used up. If there are several, it is the limit
// with the longest wait.
type Rejection struct {
	Kind       Kind
	Scope      string
	Limit      int64
	RetryAfter time.Duration
}

// State is the state of one limit.
type State struct {
	Limit, Remaining int64
	Reset            time.Duration // until the next window
}

// States holds the limits for OpenAI's x-ratelimit headers. Each is nil without a limit.
type States struct{ Requests, Tokens *State }

// maxTokens bounds the tokens of one request, so that the sums of a window stay in the
// range of integers that Redis's Lua represents exactly.
const maxTokens = 1e12

// End counts the tokens of the request and closes its stream. Only the first call has an
// effect. The tokens apply to all requests that are checked after End has returned. End
// is safe for concurrent use.
func (d *Decision) End(tokens int64) {
	if d.end != nil && !d.ended.Swap(true) {
		d.end(min(max(tokens, 0), maxTokens))
	}
}

// counter is one limit that a request is checked against.
type counter struct {
	scope string
	kind  Kind
	limit int64
}

// cost returns the number that an admitted request adds to the counter.
func (c *counter) cost() int64 {
	if c.kind.countsTokens() {
		return 0
	}
	return 1
}

// countersOf returns the limits of the scopes of a request.
func countersOf(scopes []Scope, stream bool) []counter {
	var all []counter
	add := func(scope string, kind Kind, limit int64) {
		if limit > 0 {
			all = append(all, counter{scope, kind, limit})
		}
	}
	for _, s := range scopes {
		add(s.Name, RequestsPerMinute, s.Limits.RequestsPerMinute)
		add(s.Name, TokensPerMinute, s.Limits.TokensPerMinute)
		add(s.Name, TokensPerDay, s.Limits.TokensPerDay)
		if stream {
			add(s.Name, ConcurrentStreams, s.Limits.ConcurrentStreams)
		}
	}
	return all
}

// count is the value of a counter before a request.
type count struct {
	used  int64
	reset time.Duration // until the window ends
}

// streamRetry is the suggested wait for a stream to end. The actual time is unknown.
const streamRetry = time.Second

// decide returns the decision on a request, given the counts before it. Each of n
// instances enforces its share of the limits.
func decide(counters []counter, counts []count, n int64) *Decision {
	d := new(Decision)
	for i, c := range counters {
		wait := counts[i].reset
		if c.kind == ConcurrentStreams {
			wait = streamRetry
		}
		if counts[i].used >= share(c.limit, n) && (d.Rejection == nil || wait > d.Rejection.RetryAfter) {
			d.Rejection = &Rejection{Kind: c.kind, Scope: c.scope, Limit: c.limit, RetryAfter: wait}
		}
	}
	for i, c := range counters {
		state := &d.States.Requests
		switch {
		case c.kind == ConcurrentStreams:
			continue // OpenAI's headers have no name for it.
		case c.kind.countsTokens():
			state = &d.States.Tokens
		}
		remaining := share(c.limit, n) - counts[i].used
		if d.Rejection == nil {
			remaining -= c.cost()
		}
		remaining = max(remaining, 0)
		if *state == nil || remaining < (*state).Remaining || remaining == (*state).Remaining && counts[i].reset > (*state).Reset {
			*state = &State{Limit: c.limit, Remaining: remaining, Reset: counts[i].reset}
		}
	}
	return d
}

// share returns the part of a limit that one of n instances may use, rounded up.
func share(limit, n int64) int64 {
	return limit/n + min(limit%n, 1)
}
