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

// Config configures a [Handler].
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

	// Exempt, unless nil, tells of requests that are not calls and don't count as
	// such, as health checks: a server that is busy is not dead.
	Exempt func(r *http.Request) bool

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

// Handler is an [http.Handler] that lets so many calls through to another one.
type Handler struct {
	next    http.Handler
	config  Config
	exempt  exempt
	turns   *semaphore.Weighted
	queue   chan struct{} // has an element for each that waits
	running atomic.Int64
	served  atomic.Uint64
	refused atomic.Uint64
	left    atomic.Uint64
}

// New returns a handler in front of another one. The error says which part of
// config is wrong.
func New(next http.Handler, config Config) (*Handler, error) {
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
	if config.Exempt == nil {
		config.Exempt = func(*http.Request) bool { return false }
	}
	if config.Connection == nil {
		config.Connection = func(r *http.Request) any { return r.RemoteAddr }
	}
	return &Handler{
		next: next, config: config,
		exempt: exempt{
			inAll:        cmp.Or(config.MaxExempt, DefaultMaxExempt),
			onConnection: cmp.Or(config.MaxExemptOnConnection, DefaultMaxExemptOnConnection),
			open:         make(map[any][]*exemptCall),
		},
		turns: semaphore.NewWeighted(int64(config.MaxCalls)), queue: make(chan struct{}, config.MaxQueue),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.config.Exempt(r) {
		h.serveExempt(w, r)
		return
	}
	if !h.enter(r.Context()) {
		h.refuse(w, r)
		return
	}
	h.running.Add(1)
	defer func() {
		h.running.Add(-1)
		h.served.Add(1)
		h.turns.Release(1)
	}()
	h.next.ServeHTTP(w, r)
}

// serveExempt serves a request that doesn't count as a call.
func (h *Handler) serveExempt(w http.ResponseWriter, r *http.Request) {
	leave, ok := h.exempt.enter(w, h.config.Connection(r))
	if !ok {
		h.refuse(w, r)
		return
	}
	defer leave()
	h.next.ServeHTTP(w, r)
}

// enter waits for a call's turn, and reports whether it came.
func (h *Handler) enter(ctx context.Context) bool {
	if h.turns.TryAcquire(1) {
		return true
	}
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, h.config.QueueTimeout)
	defer cancel()
	return h.turns.Acquire(ctx, 1) == nil
}

// refuse answers a call whose turn didn't come.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request) {
	if r.Context().Err() != nil {
		h.left.Add(1)
		panic(http.ErrAbortHandler) // there is nobody to answer
	}
	h.refused.Add(1)
	if c := request.FromContext(r.Context()); c != nil {
		c.RejectedBy = Code
	}
	const choices = int64((mostRetryAfter-leastRetryAfter)/time.Second) + 1
	h.config.Refuse(w, r, leastRetryAfter+time.Duration(rand.N(choices))*time.Second) //nolint:gosec // nobody gains by guessing it
}

// Stats are what a handler is doing, and what it has done.
type Stats struct {
	Running, Waiting int64 // calls, now
	Exempt           int64 // requests that are exempt, now
	// Served counts the calls that were let through and have ended, Refused those
	// that were refused, and Left those whose client left while they waited.
	Served, Refused, Left uint64
}

// Stats returns the numbers of this moment. Requests that are exempt are in Exempt,
// and in Refused, and in no other.
func (h *Handler) Stats() Stats {
	return Stats{
		Running: h.running.Load(),
		Waiting: int64(len(h.queue)),
		Exempt:  int64(h.exempt.len()),
		Served:  h.served.Load(),
		Refused: h.refused.Load(),
		Left:    h.left.Load(),
	}
}
