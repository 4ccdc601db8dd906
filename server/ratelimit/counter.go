package ratelimit

import (
	"math"
	"time"
)

// counter is one limit that a request is judged by.
type counter struct {
	scope string
	kind  Kind
	limit int64
}

// counters are the limits of the scopes that a request is judged by.
func counters(scopes []Scope, streams bool) []counter {
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
		if streams {
			add(s.Name, ConcurrentStreams, s.Limits.ConcurrentStreams)
		}
	}
	return all
}

// length is how long a window of the kind lasts.
func (k Kind) length() time.Duration {
	if k == TokensPerDay {
		return 24 * time.Hour
	}
	return time.Minute
}

// tokens reports whether the kind counts tokens.
func (k Kind) tokens() bool { return k == TokensPerMinute || k == TokensPerDay }

// streamRetry is what a client is told to wait for a stream to end: nobody knows
// when one does.
const streamRetry = time.Second

// verdict gathers what the limits say of a request.
type verdict struct {
	refusal *Refusal
	states  States
}

// note adds what a limit has left, and when it begins anew. A request that it has
// no room for is refused.
func (v *verdict) note(c counter, room bool, left int64, reset time.Duration) {
	left, reset = max(left, 0), max(reset, 0)
	if !room && (v.refusal == nil || reset > v.refusal.RetryAfter) {
		v.refusal = &Refusal{Kind: c.kind, Scope: c.scope, Limit: c.limit, RetryAfter: reset}
	}
	if c.kind == ConcurrentStreams {
		return // OpenAI's headers have no name for it.
	}
	state := &v.states.Requests
	if c.kind.tokens() {
		state = &v.states.Tokens
	}
	if *state == nil || left < (*state).Remaining || left == (*state).Remaining && reset > (*state).Reset {
		*state = &State{Limit: c.limit, Remaining: left, Reset: reset}
	}
}

// plus is a sum that stays at the largest number rather than begin anew.
func plus(a, b int64) int64 {
	if b > math.MaxInt64-a {
		return math.MaxInt64
	}
	return a + b
}
