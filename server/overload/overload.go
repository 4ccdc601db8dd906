// Package overload limits the number of requests that a server handles at the same time.
// A few more wait in a queue. All others are rejected at once, so that requests in
// progress are not slowed down.
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

// Defaults of [Config]. They suit one small machine: a request that waits for its model
// takes about 30 to 80 KB, including its connection.
const (
	DefaultMaxCalls     = 12000
	DefaultMaxQueue     = 1000
	DefaultQueueTimeout = time.Second

	DefaultMaxExempt             = 4000
	DefaultMaxExemptOnConnection = 100
)

// Code is the error code of rejected requests.
const Code = "server_overloaded"

// Rejected clients are asked to retry after a random time between these bounds, so that
// they do not all return at once.
const (
	minRetryAfter = 1 * time.Second
	maxRetryAfter = 5 * time.Second
)

// Config configures a [Limiter].
type Config struct {
	// MaxCalls limits the requests in progress. Streams and WebSockets count while they
	// are open. It must be at least 1.
	MaxCalls int

	// MaxQueue limits the queued requests, which are served in order. Their bodies are not
	// read. Zero means no queue.
	MaxQueue int

	// QueueTimeout limits the wait. It is required if there is a queue.
	QueueTimeout time.Duration

	// MaxExempt limits the exempt requests in progress, and MaxExemptOnConnection those
	// of one connection. At MaxExempt, a request from a connection with few of them
	// replaces the oldest one of the connection with the most. Others are rejected. Zero
	// means [DefaultMaxExempt] and [DefaultMaxExemptOnConnection].
	MaxExempt, MaxExemptOnConnection int

	// Connection, unless nil, returns a comparable value that identifies the connection
	// of a request. By default it is the RemoteAddr.
	Connection func(r *http.Request) any

	// Reject writes the response to a rejected request. retryAfter is in whole seconds,
	// as in the Retry-After header (RFC 9110 §10.2.3).
	Reject func(w http.ResponseWriter, r *http.Request, retryAfter time.Duration)
}

// Limiter limits the requests that are served at the same time.
type Limiter struct {
	config   Config
	exempt   exempt
	slots    *semaphore.Weighted
	queue    chan struct{} // has an element for each waiting request
	running  atomic.Int64
	rejected atomic.Uint64
}

// New returns a limiter.
func New(config Config) (*Limiter, error) {
	switch {
	case config.MaxCalls < 1:
		return nil, fmt.Errorf("overload: invalid MaxCalls %d: must be at least 1", config.MaxCalls)
	case config.MaxQueue < 0:
		return nil, fmt.Errorf("overload: invalid MaxQueue %d: must not be negative", config.MaxQueue)
	case config.MaxQueue > 0 && config.QueueTimeout <= 0:
		return nil, fmt.Errorf("overload: invalid QueueTimeout %v: must be positive if there is a queue", config.QueueTimeout)
	case config.MaxExempt < 0:
		return nil, fmt.Errorf("overload: invalid MaxExempt %d: must not be negative", config.MaxExempt)
	case config.MaxExemptOnConnection < 0:
		return nil, fmt.Errorf("overload: invalid MaxExemptOnConnection %d: must not be negative", config.MaxExemptOnConnection)
	case config.Reject == nil:
		return nil, errors.New("overload: Reject is required")
	}
	if config.Connection == nil {
		config.Connection = func(r *http.Request) any { return r.RemoteAddr }
	}
	return &Limiter{
		config: config,
		exempt: exempt{
			max:             cmp.Or(config.MaxExempt, DefaultMaxExempt),
			maxOnConnection: cmp.Or(config.MaxExemptOnConnection, DefaultMaxExemptOnConnection),
			open:            make(map[any][]*exemptRequest),
		},
		slots: semaphore.NewWeighted(int64(config.MaxCalls)), queue: make(chan struct{}, config.MaxQueue),
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
	if !l.acquire(r.Context()) {
		l.reject(w, r)
		return
	}
	l.running.Add(1)
	defer func() {
		l.running.Add(-1)
		l.slots.Release(1)
	}()
	next.ServeHTTP(w, r)
}

// serveExempt serves an exempt request.
func (l *Limiter) serveExempt(w http.ResponseWriter, r *http.Request, next http.Handler) {
	release, ok := l.exempt.acquire(w, l.config.Connection(r))
	if !ok {
		l.reject(w, r)
		return
	}
	defer release()
	next.ServeHTTP(w, r)
}

// acquire waits for a slot, and reports whether it got one.
func (l *Limiter) acquire(ctx context.Context) bool {
	if l.slots.TryAcquire(1) {
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
	return l.slots.Acquire(ctx, 1) == nil
}

// reject responds to a request that got no slot.
func (l *Limiter) reject(w http.ResponseWriter, r *http.Request) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has disconnected
	}
	l.rejected.Add(1)
	request.FromContext(r.Context()).RejectedBy = Code
	const choices = int64((maxRetryAfter-minRetryAfter)/time.Second) + 1
	l.config.Reject(w, r, minRetryAfter+time.Duration(rand.N(choices))*time.Second) //nolint:gosec // not a secret
}

// Stats are statistics of a limiter.
type Stats struct {
	Running, Waiting int64  // requests in progress and in the queue, without exempt ones
	Exempt           int64  // exempt requests in progress
	Rejected         uint64 // rejected requests so far, including exempt ones
}

// Stats returns the current statistics.
func (l *Limiter) Stats() Stats {
	return Stats{
		Running:  l.running.Load(),
		Waiting:  int64(len(l.queue)),
		Exempt:   int64(l.exempt.len()),
		Rejected: l.rejected.Load(),
	}
}
