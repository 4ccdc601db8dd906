// Package overload keeps a server within what its machine can bear: so many calls
// at a time, a short queue, and for all beyond that a refusal at once, so that
// those which run keep their pace.
package overload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/openai-connect/openai-connect/server/request"
)

// Defaults, which suit one small machine: a call that waits for its model takes
// some 30 to 80 KB, with its connection.
const (
	DefaultMaxCalls     = 12000
	DefaultMaxQueue     = 1000
	DefaultQueueTimeout = time.Second

	DefaultMaxExempt             = 4000
	DefaultMaxExemptOnConnection = 100
)

// Code is what a refusal has as the code of the error.
const Code = "server_overloaded"

// Refused calls are asked to come back within these bounds, each at another time,
// so that they don't come all at once.
const (
	leastRetryAfter = 1 * time.Second
	mostRetryAfter  = 5 * time.Second
)

// Config configures a [Limiter].
type Config struct {
	// MaxCalls is how many calls are worked on at a time, streams and WebSockets
	// for as long as they are open. At least one.
	MaxCalls int

	// MaxQueue is how many more wait for their turn, in the order in which they
	// came. Each holds its connection and its header: the body is not read. Zero
	// means that none waits.
	MaxQueue int

	// QueueTimeout bounds the wait. It must be given if there is a queue.
	QueueTimeout time.Duration

	// MaxExempt is how many requests that are exempt are served at a time, and
	// MaxExemptOnConnection how many of one connection. Where there are MaxExempt, the
	// connection with the most of them loses its oldest one to a connection that has
	// fewer. Further ones are refused. Zero means [DefaultMaxExempt] and
	// [DefaultMaxExemptOnConnection].
	MaxExempt, MaxExemptOnConnection int

	// Connection, unless nil, returns what stands for the connection of a request.
	// By default that is its RemoteAddr.
	Connection func(r *http.Request) any

	// Refuse answers a request that is not served, in the protocol of its client,
	// which may come back when the time is over: whole seconds, as Retry-After has
	// them (RFC 9110 §10.2.3).
	Refuse func(w http.ResponseWriter, r *http.Request, retryAfter time.Duration)
}

// Limiter limits the requests that are served at the same time.
type Limiter struct {
	config  Config
	exempt  exempt
	turns   *semaphore.Weighted
	queue   chan struct{} // has an element for each that waits
	running atomic.Int64
	refused atomic.Uint64
}

// New returns a limiter.
func New(config Config) (*Limiter, error) {
	switch {
	case config.MaxCalls < 1:
		return nil, fmt.Errorf("overload: MaxCalls is %d: give 1 at least", config.MaxCalls)
	case config.MaxQueue < 0:
		return nil, fmt.Errorf("overload: MaxQueue is %d: give 0 at least", config.MaxQueue)
	case config.MaxQueue > 0 && config.QueueTimeout <= 0:
		return nil, fmt.Errorf("overload: QueueTimeout is %v: give a time for the queue", config.QueueTimeout)
	case config.MaxExempt < 0:
		return nil, fmt.Errorf("overload: MaxExempt is %d: give 0 at least", config.MaxExempt)
	case config.MaxExemptOnConnection < 0:
		return nil, fmt.Errorf("overload: MaxExemptOnConnection is %d: give 0 at least", config.MaxExemptOnConnection)
	case config.Refuse == nil:
		return nil, errors.New("overload: there is no Refuse")
	}
	if config.Connection == nil {
		config.Connection = func(r *http.Request) any { return r.RemoteAddr }
	}
	return &Limiter{
		config: config,
		exempt: exempt{
			inAll:        cmp.Or(config.MaxExempt, DefaultMaxExempt),
			onConnection: cmp.Or(config.MaxExemptOnConnection, DefaultMaxExemptOnConnection),
			open:         make(map[any][]*exemptCall),
		},
		turns: semaphore.NewWeighted(int64(config.MaxCalls)), queue: make(chan struct{}, config.MaxQueue),
	}, nil
}

// Wrap returns a handler that serves next within the limits.
func (l *Limiter) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.serve(w, r, next) })
}

func (l *Limiter) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if request.FromContext(r.Context()).Kind.IsPublic() {
		l.serveExempt(w, r, next)
		return
	}
	if !l.enter(r.Context()) {
		l.refuse(w, r)
		return
	}
	l.running.Add(1)
	defer func() {
		l.running.Add(-1)
		l.turns.Release(1)
	}()
	next.ServeHTTP(w, r)
}

// serveExempt serves a request that doesn't count as a call.
func (l *Limiter) serveExempt(w http.ResponseWriter, r *http.Request, next http.Handler) {
	leave, ok := l.exempt.enter(w, l.config.Connection(r))
	if !ok {
		l.refuse(w, r)
		return
	}
	defer leave()
	next.ServeHTTP(w, r)
}

// enter waits for a call's turn, and reports whether it came.
func (l *Limiter) enter(ctx context.Context) bool {
	if l.turns.TryAcquire(1) {
		return true
	}
	select {
	case l.queue <- struct{}{}:
		defer func() { <-l.queue }()
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.QueueTimeout)
	defer cancel()
	return l.turns.Acquire(ctx, 1) == nil
}

// refuse answers a call whose turn didn't come.
func (l *Limiter) refuse(w http.ResponseWriter, r *http.Request) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // there is nobody to answer
	}
	l.refused.Add(1)
	request.FromContext(r.Context()).RejectedBy = Code
	const choices = int64((mostRetryAfter-leastRetryAfter)/time.Second) + 1
	l.config.Refuse(w, r, leastRetryAfter+time.Duration(rand.N(choices))*time.Second) //nolint:gosec // nobody gains by guessing it
}

// Stats are what a handler is doing, and what it has done.
type Stats struct {
	Running, Waiting int64  // calls, now
	Exempt           int64  // requests that are exempt, now
	Refused          uint64 // requests, so far
}

// Stats returns the numbers of this moment. Requests that are exempt are in Exempt,
// and in Refused, and in no other.
func (l *Limiter) Stats() Stats {
	return Stats{
		Running: l.running.Load(),
		Waiting: int64(len(l.queue)),
		Exempt:  int64(l.exempt.len()),
		Refused: l.refused.Load(),
	}
}
