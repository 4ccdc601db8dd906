// Package request keeps what is known of a call while the server works on it: who
// makes it, what it asks for, and what became of it. Access, limits, metrics,
// logs and traces write it and read it, so that none needs to know of another.
package request

import (
	"context"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/usage"
)

// Way is how a call came in.
type Protocol string

// The ways in.
const (
	Raw     Protocol = "raw"
	Connect Protocol = "connect"
	GRPC    Protocol = "grpc"
	GRPCWeb Protocol = "grpc-web"
)

// Call is one call. The goroutine that serves it may use every field; others use
// the methods alone, which are safe for concurrent use.
type Record struct {
	// ID names the call in logs, and to the client.
	ID string
	// Began is when its header was there.
	Start    time.Time
	Protocol Protocol
	// Route is what is called, of a bounded set: the procedure of an RPC, or the
	// template of a REST path, "/v1/chat/completions/{id}".
	Route string
	// Token is the client's, nil where the server asks for none.
	Client *clients.Client

	// Model is the one that was asked for, empty if that isn't known.
	Model string
	// OtherModels are further ones that the request names, where the token has rights
	// or limits by model.
	OtherModels []string
	// Streams says that the answer was asked for as a stream, or is a WebSocket.
	Streaming bool
	// Upstream names the one that answered last, and Attempts counts how often
	// one was asked.
	Upstream string
	Attempts int
	// Status is the HTTP status of its answer, 0 without one.
	Status int
	// Refused is why this server didn't let the call through: a code such as
	// "rate_limit_exceeded"; empty if it did.
	RejectedBy string
	// Code is an RPC's outcome: "ok", or Connect's name of the error; empty for
	// what came raw.
	Code string

	mu       sync.Mutex
	ended    bool                // guarded by mu
	onEnd    []func()            // guarded by mu
	progress Progress            // guarded by mu
	latest   time.Time           // guarded by mu: when the latest event came
	onEvent  func(time.Duration) // guarded by mu
	onBody   func([]byte)        // guarded by mu
	last     func() int64        // guarded by mu
	sent     bool                // guarded by mu: something of the body
}

// Progress is how far the upstream's answer has come.
type Progress struct {
	// Headers is when its header came, and FirstToken when the first event of a
	// stream did; zero if none has.
	Headers    time.Time
	FirstToken time.Time
	// Events counts those of a stream.
	Events int
	// Model is the one that answered, empty if the answer doesn't say.
	Model string
	// Usage is what it took.
	Usage usage.Usage
	// ByModel is the same by model, for a WebSocket, in which several may answer.
	ByModel []usage.ModelUsage
}

// Client names the client of a call by its token, empty where the server asks for
// none, or if c is nil.
func (c *Record) ClientName() string {
	if c == nil || c.Client == nil {
		return ""
	}
	return c.Client.Name
}

type key struct{}

// With returns a context that carries a call.
func NewContext(ctx context.Context, c *Record) context.Context {
	return context.WithValue(ctx, key{}, c)
}

// From returns the call that a context carries, nil if it carries none.
func FromContext(ctx context.Context) *Record {
	c, _ := ctx.Value(key{}).(*Record)
	return c
}

// AtEnd has f called when the call ends, behind what was said before; at once if
// it has.
func (c *Record) OnEnd(f func()) {
	c.mu.Lock()
	ended := c.ended
	if !ended {
		c.onEnd = append(c.onEnd, f)
	}
	c.mu.Unlock()
	if ended {
		f()
	}
}

// End ends the call: its answer has been given, or can't be.
func (c *Record) End() {
	c.mu.Lock()
	c.ended = true
	todo := c.onEnd
	c.onEnd = nil
	c.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// Answered notes that the header of an answer came.
func (c *Record) RecordHeaders(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Headers = at
}

// Event notes that an event of a stream came.
func (c *Record) RecordEvent(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Events++
	if c.progress.Events == 1 {
		c.progress.FirstToken = at
	} else if c.onEvent != nil {
		c.onEvent(at.Sub(c.latest))
	}
	c.latest = at
}

// OnEvent has f told of each event but the first how long after the one before it
// came. f must be quick.
func (c *Record) OnEvent(f func(sinceLast time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEvent = f
}

// OnBody has f told of the pieces of the request's body as they come. f must be quick,
// and keep nothing of them. It is told nothing if it is nil, or if something came
// before.
func (c *Record) OnBody(f func(piece []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sent {
		c.onBody = f
	}
}

// Body notes a piece of the request's body.
func (c *Record) RecordBody(piece []byte) {
	c.mu.Lock()
	c.sent = true
	f := c.onBody
	c.mu.Unlock()
	if f != nil {
		f(piece)
	}
}

// Used notes what the answer took, and which model gave it. ByModel is empty unless
// several may have.
func (c *Record) RecordUsage(model string, used usage.Usage, byModel ...usage.ModelUsage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Model, c.progress.Usage, c.progress.ByModel = model, used, byModel
}

// OnLast has f asked how much of the answer's body came up to the last event of its
// stream, in bytes; 0 if that hasn't come.
func (c *Record) OnLastEvent(f func() int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = f
}

// Last returns how much of the answer's body came up to the last event of its stream,
// in bytes; 0 if that hasn't come.
func (c *Record) BytesToLastEvent() int64 {
	c.mu.Lock()
	f := c.last
	c.mu.Unlock()
	if f == nil {
		return 0
	}
	return f()
}

// Progress returns how far the answer has come.
func (c *Record) Progress() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress
}
