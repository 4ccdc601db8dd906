// Package request provides a record of each request: the client, the requested model, the
// attempts and the outcome. The outermost handler of the server creates the record. Each
// layer sets the fields it knows. Metrics, logs and traces read the record, and so do not
// depend on the other layers.
package request

import (
	"context"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/usage"
)

// Record is the record of one request. Only the goroutine that serves the request may use
// the exported fields and the methods SetRequest, SetAttempt, SetResponse and SetOutcome.
// The other methods are safe for concurrent use.
type Record struct {
	// ID identifies the request in logs: the X-Client-Request-Id of the client, or a
	// random string.
	ID string
	// Start is the time when the request header had been read.
	Start time.Time
	// Kind and Protocol are set when the record is created.
	Kind     Kind
	Protocol Protocol
	// Procedure is the path of the RPC, or empty if it is not a known RPC.
	Procedure string

	// Client is the authenticated client, or nil if the server has no list of clients.
	Client *clients.Client

	// Model is the requested model, or empty if it is unknown.
	Model string
	// OtherModels holds further models named in the request. It is only set if the client
	// has rules or limits by model.
	OtherModels []string
	// Streaming reports whether the response is an event stream or a WebSocket.
	Streaming bool

	// Upstream is the name of the upstream of the last attempt. Attempts is the number of
	// attempts.
	Upstream string
	Attempts int
	// UpstreamStatus is the HTTP status of the upstream's response, or 0 without a response.
	UpstreamStatus int
	// UpstreamRequestID is the X-Request-ID of the upstream's response.
	UpstreamRequestID string
	// TraceID is the ID of the trace, or empty if the request is not sampled.
	TraceID string

	// RejectedBy is the error code with which this server rejected the request, such as
	// "rate_limit_exceeded". It is empty if the request was forwarded.
	RejectedBy string
	// Status is the HTTP status sent to the client, or 0 without a response.
	Status int
	// Code is "ok" or the Connect error code of an RPC. It is empty for a raw request.
	Code string
	// Aborted reports whether the response is incomplete.
	Aborted bool

	mu               sync.Mutex
	ended            bool                // guarded by mu
	onEnd            []func()            // guarded by mu
	onComplete       []func()            // guarded by mu
	progress         Progress            // guarded by mu
	lastEvent        time.Time           // guarded by mu
	onEvent          func(time.Duration) // guarded by mu
	onBody           func([]byte)        // guarded by mu
	bodyStarted      bool                // guarded by mu
	bytesToLastEvent func() int64        // guarded by mu
}

// Progress is the part of a record that changes while the response is forwarded.
type Progress struct {
	// Headers is the time when the upstream's response header arrived, or zero.
	Headers time.Time
	// FirstToken is the time when the first event of a stream arrived, or zero.
	FirstToken time.Time
	// Events is the number of events of a stream so far.
	Events int
	// Model is the model named in the response, or empty.
	Model string
	// Usage is the usage of the request.
	Usage usage.Usage
	// ByModel is the usage by model of a WebSocket, which can use several models.
	ByModel []usage.ModelUsage
}

// ClientName returns the name of the client, or an empty string if Client is nil.
func (r *Record) ClientName() string {
	if r.Client == nil {
		return ""
	}
	return r.Client.Name
}

type contextKey struct{}

// NewContext returns a context that carries a record.
func NewContext(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the record of a context. It never returns nil: if the context has no
// record, it returns a new one.
func FromContext(ctx context.Context) *Record {
	if r, ok := ctx.Value(contextKey{}).(*Record); ok {
		return r
	}
	return &Record{Start: time.Now(), Protocol: Raw}
}

// SetRequest sets the requested models, and whether the request asks for a stream.
func (r *Record) SetRequest(model string, streaming bool, otherModels ...string) {
	r.Model, r.Streaming, r.OtherModels = model, streaming, otherModels
}

// SetAttempt sets the upstream and the number of an attempt, counting from 1.
func (r *Record) SetAttempt(upstream string, attempt int) {
	r.Upstream, r.Attempts = upstream, attempt
}

// SetResponse sets the status of the upstream's response, whose header has just
// arrived, and whether it is a stream.
func (r *Record) SetResponse(status int, streaming bool) {
	r.UpstreamStatus = status
	r.Streaming = r.Streaming || streaming
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Headers = time.Now()
}

// SetOutcome sets the outcome from the point of view of the client.
func (r *Record) SetOutcome(status int, code string, aborted bool) {
	r.Status, r.Code, r.Aborted = status, code, aborted
}

// OnEnd registers a function that sets the last fields of the record when the request ends.
// Functions are called in the order of registration. If the request has already ended, f is
// called immediately.
func (r *Record) OnEnd(f func()) { r.register(&r.onEnd, f) }

// OnComplete registers a function that reads the complete record. It is called after all
// functions registered with [Record.OnEnd].
func (r *Record) OnComplete(f func()) { r.register(&r.onComplete, f) }

func (r *Record) register(list *[]func(), f func()) {
	r.mu.Lock()
	ended := r.ended
	if !ended {
		*list = append(*list, f)
	}
	r.mu.Unlock()
	if ended {
		f()
	}
}

// End calls the functions registered with OnEnd and OnComplete. Only the first call has an
// effect.
func (r *Record) End() {
	r.mu.Lock()
	onEnd, onComplete := r.onEnd, r.onComplete
	r.ended, r.onEnd, r.onComplete = true, nil, nil
	r.mu.Unlock()
	for _, f := range onEnd {
		f()
	}
	for _, f := range onComplete {
		f()
	}
}

// RecordEvent records the arrival of an event of a stream.
func (r *Record) RecordEvent(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Events++
	if r.progress.Events == 1 {
		r.progress.FirstToken = at
	} else if r.onEvent != nil {
		r.onEvent(at.Sub(r.lastEvent))
	}
	r.lastEvent = at
}

// OnEvent sets a function that is called with the time between each event and the
// previous one. It must not block.
func (r *Record) OnEvent(f func(sincePrevious time.Duration)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onEvent = f
}

// OnBody sets a function that is called with each piece of the request body. It must
// not block or retain the piece. OnBody has no effect after the first RecordBody.
func (r *Record) OnBody(f func(piece []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.bodyStarted {
		r.onBody = f
	}
}

// RecordBody records a piece of the request body.
func (r *Record) RecordBody(piece []byte) {
	r.mu.Lock()
	r.bodyStarted = true
	f := r.onBody
	r.mu.Unlock()
	if f != nil {
		f(piece)
	}
}

// RecordUsage records the usage and the model named in the response. byModel is only passed
// for a WebSocket, see [Progress.ByModel].
func (r *Record) RecordUsage(model string, used usage.Usage, byModel ...usage.ModelUsage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Model, r.progress.Usage, r.progress.ByModel = model, used, byModel
}

// OnBytesToLastEvent sets the function that [Record.BytesToLastEvent] calls.
func (r *Record) OnBytesToLastEvent(f func() int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytesToLastEvent = f
}

// BytesToLastEvent returns the length of the response body up to and including the last
// event of its stream, or 0 if that event has not arrived.
func (r *Record) BytesToLastEvent() int64 {
	r.mu.Lock()
	f := r.bytesToLastEvent
	r.mu.Unlock()
	if f == nil {
		return 0
	}
	return f()
}

// Progress returns the progress so far.
func (r *Record) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}
