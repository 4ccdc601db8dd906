// Package ratelimit limits the requests, tokens and open streams of clients, in one
// process or across all instances that share a Redis or Valkey database.
//
// A window begins with the first request that is checked against it and lasts a minute,
// or a day of 24 hours. Requests are counted when they are admitted, so a window never
// admits more than its limit. Tokens are counted when a request ends, because they are
// not known earlier. A window whose tokens are used up admits no further request, and
// can exceed its limit only by the tokens of the requests in progress at that moment.
//
// [Memory] counts in one process. [Shared] counts in Redis, and while Redis is
// unavailable each instance enforces its share by local counting:
//
//   - With N instances, each enforces ⌈L/N⌉ of every limit L. It counts the requests,
//     tokens and streams that it admitted itself in the current window, including those
//     before the outage.
//   - N is the number of live instances that Redis last reported, or 1 without a report.
//   - When Redis is available again, its counters decide. The requests and tokens of the
//     outage are not added to them.
//
// In a window, Redis's counters therefore admit at most L requests, and the counters of
// each instance at most ⌈L/N⌉: less than 2·L + N in total. If Redis loses its data, its
// windows begin again.
package ratelimit

import (
	"context"
	"time"
)

// Limits are the limits of a scope. Zero means no limit.
type Limits struct {
	RequestsPerMinute int64
	TokensPerMinute   int64
	// TokensPerDay applies to 24 hours from the first request.
	TokensPerDay int64
	// ConcurrentStreams applies to open event streams and WebSockets.
	ConcurrentStreams int64
}

// Scope is a name with limits, such as a client. A request is counted in all of its scopes.
//
// The scopes of a request have different names. For [Shared] the names must be the same
// up to the first slash, because a Redis Cluster must store the counters in one slot.
type Scope struct {
	Name   string
	Limits Limits
}

// Limiter enforces limits. It is safe for concurrent use.
type Limiter interface {
	// Admit counts a request, and an open stream if stream is true, unless a limit of
	// one of the scopes is used up. A request that is not admitted is not counted.
	// If the decision admits the request, the caller must call its End.
	Admit(ctx context.Context, scopes []Scope, stream bool) *Decision
	// Stats returns the current state.
	Stats() Stats
	// Close releases the limiter's resources. Admit must not be called afterwards.
	Close() error
}

// Kind identifies the quantity that a limit restricts.
type Kind string

// The kinds of limits, named as in the clients file.
const (
	RequestsPerMinute Kind = "requests_per_minute"
	TokensPerMinute   Kind = "tokens_per_minute" //nolint:gosec // It names a limit.
	TokensPerDay      Kind = "tokens_per_day"    //nolint:gosec // It names a limit.
	ConcurrentStreams Kind = "concurrent_streams"
)

// window returns the length of a window of the kind, or 0 for [ConcurrentStreams].
func (k Kind) window() time.Duration {
	switch k {
	case ConcurrentStreams:
		return 0
	case TokensPerDay:
		return 24 * time.Hour
	default:
		return time.Minute
	}
}

// countsTokens reports whether the kind counts tokens.
func (k Kind) countsTokens() bool { return k == TokensPerMinute || k == TokensPerDay }

// Stats describes the state of a limiter.
type Stats struct {
	// Shared reports whether the limiter counts in Redis, and RedisUp whether Redis is
	// available.
	Shared, RedisUp bool
	// Instances is the number of live instances that Redis last reported, at least 1.
	Instances int64
	// Outages counts how often Redis became unavailable.
	Outages uint64
}
