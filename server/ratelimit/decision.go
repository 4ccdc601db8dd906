package ratelimit

import (
	"sync/atomic"
	"time"
)

// Decision is the result of [Limiter.Admit]. The zero value admits a request without
// limits.
type Decision struct {
	// Refusal is the reason why the request is not admitted, nil if it is.
	Refusal *Refusal
	// States are the limits that are closest to being used up, including this request.
	States States
	// Shared reports whether Redis decided, rather than this instance alone.
	Shared bool

	end   func(tokens int64) // nil if there is nothing to do at the end
	ended atomic.Bool
}

// Refusal identifies the limit that is used up. Of several it is the one with the
// longest wait.
type Refusal struct {
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

// States are the limits that OpenAI's x-ratelimit headers describe; nil without a limit.
type States struct{ Requests, Tokens *State }

// maxTokens bounds the tokens of one request, so that the sums of a window stay in the
// range of integers that Redis's Lua represents exactly.
const maxTokens = 1e12

// End counts the tokens of the request and closes its stream. Only the first call has an
// effect. Requests that are checked after End has returned are checked against the
// tokens. End is safe for concurrent use.
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

// cost is what a request adds to the counter when it is admitted.
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

// streamRetry is the wait for a stream to end. The actual time is unknown.
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
		if counts[i].used >= share(c.limit, n) && (d.Refusal == nil || wait > d.Refusal.RetryAfter) {
			d.Refusal = &Refusal{Kind: c.kind, Scope: c.scope, Limit: c.limit, RetryAfter: wait}
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
		if d.Refusal == nil {
			remaining -= c.cost()
		}
		remaining = max(remaining, 0)
		if *state == nil || remaining < (*state).Remaining || remaining == (*state).Remaining && counts[i].reset > (*state).Reset {
			*state = &State{Limit: c.limit, Remaining: remaining, Reset: counts[i].reset}
		}
	}
	return d
}

// share is what one of n instances may use of a limit, rounded up.
func share(limit, n int64) int64 {
	return limit/n + min(limit%n, 1)
}
