// Package ratelimit counts what clients use, in one process or in all that share a
// store, and tells when they have used what they may.
//
// A window begins with the first request that asks for it, and lasts a minute or
// a day of 24 hours; then the next request begins another. Requests are counted as
// they are admitted, so that no window has one more than its limit. Tokens are
// counted as a request ends, since nobody knows before: a window takes no request
// once its tokens are used up, so what it exceeds its limit by is at most what the
// requests took that were under way at that moment.
//
// [Memory] counts in one process, [Shared] in Redis or Valkey for all instances.
package ratelimit

import (
	"context"
	"time"
)

// Limits are how much may be used. Zero means that there is no limit.
type Limits struct {
	RequestsPerMinute int64
	TokensPerMinute   int64
	// TokensPerDay is of 24 hours from the first use on.
	TokensPerDay int64
	// ConcurrentStreams counts event streams and WebSockets that are open.
	ConcurrentStreams int64
}

// Scope is a name under which use is counted, with its limits. A request counts
// in all of its scopes, of which no two may have the same name.
type Scope struct {
	Name   string
	Limits Limits
}

// Limiter counts. It is safe for concurrent use.
type Limiter interface {
	// Admit counts a request, and if it streams also an open stream, unless a limit
	// of a scope is used up: then it counts nothing, and the decision says which.
	// A decision that admits must be told of the end.
	Admit(ctx context.Context, scopes []Scope, streams bool) Decision
	// Close releases what the limiter holds. Nothing may be admitted after it; what
	// ends after it is counted no more.
	Close() error
}

// Decision is what became of a request. It is safe for concurrent use.
type Decision interface {
	// Refusal is why the request isn't admitted, nil if it is.
	Refusal() *Refusal
	// States are of the limits that are closest to being used up, as they were when
	// the request was judged, itself included.
	States() States
	// Shared reports whether a store was asked, which counts for all instances.
	Shared() bool
	// End counts the tokens that the request used, and gives its stream back. Only
	// the first call counts. What begins after End has returned is judged by them.
	End(tokens int64)
}

// Refusal says which limit is used up: of several the one that it takes longest
// to wait for.
type Refusal struct {
	Kind       Kind
	Scope      string
	Limit      int64
	RetryAfter time.Duration
}

// Kind is what a limit counts.
type Kind string

// The kinds of limits, by their names in the file of keys.
const (
	RequestsPerMinute Kind = "requests_per_minute"
	TokensPerMinute   Kind = "tokens_per_minute" //nolint:gosec // It names a limit.
	TokensPerDay      Kind = "tokens_per_day"    //nolint:gosec // It names a limit.
	ConcurrentStreams Kind = "concurrent_streams"
)

// State is of one limit.
type State struct {
	Limit, Remaining int64
	Reset            time.Duration // until it begins anew
}

// States are those that OpenAI's x-ratelimit headers tell of; nil without a limit.
type States struct{ Requests, Tokens *State }

// Stats are what a limiter has done since it began, and how it stands.
type Stats struct {
	// Shared says that a store is used, and StoreUp that it is to be had.
	Shared, StoreUp bool
	// Instances is how many share the store, as far as is known; else 1.
	Instances int64
	// ByStore and Locally count the requests that were decided by the store's
	// counters, and by those of this instance alone.
	ByStore, Locally uint64
	// Outages counts how often the store was lost.
	Outages uint64
	// StoreCalls counts the times that something waited for the store, and
	// StoreTime is how long all of them did.
	StoreCalls uint64
	StoreTime  time.Duration
}
