// Package request holds the record of a request: who sent it, what it asks for, and
// what became of it. The outermost handler of the server creates the record. Each
// layer sets its part. Metrics, logs and traces read it, so they depend on no layer.
package request

import (
	"context"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/usage"
)

// Record is the record of one request. The goroutine that serves the request may use
// every field. The methods are safe for concurrent use, except those named Set.
type Record struct {
	// ID identifies the request in logs: the X-Client-Request-Id of the client, or a
	// random string.
	ID string
	// Start is the time at which the request header had been read.
	Start time.Time
	// Kind and Protocol are decided when the record is created.
	Kind     Kind
	Protocol Protocol
	// Procedure is the path of a known RPC, empty otherwise.
	Procedure string

	// Client is the authenticated client, nil if the server doesn't tell clients apart.
	Client *clients.Client

	// Model is the requested model, empty if it is unknown.
	Model string
	// OtherModels are further models that the request names. They are only read if the
	// client has rules or limits by model.
	OtherModels []string
	// Streaming reports whether the response is an event stream or a WebSocket.
	Streaming bool

	// Upstream names the upstream that got the last attempt, and Attempts counts them.
	Upstream string
	Attempts int
	// UpstreamStatus is the HTTP status of the upstream's response, 0 without one.
	UpstreamStatus int
	// UpstreamRequestID is the X-Request-ID of the upstream's response.
	UpstreamRequestID string
	// TraceID is the ID of the trace, empty if it isn't sampled.
	TraceID string

	// RejectedBy is the error code with which this server rejected the request, such as
	// "rate_limit_exceeded". It is empty if the request was forwarded.
	RejectedBy string
	// Status is the HTTP status that the client got, 0 without one.
	Status int
	// Code is the outcome of an RPC: "ok", or Connect's name of the error. It is empty
	// for a raw request.
	Code string
	// Aborted reports whether the response broke off.
	Aborted bool

	mu               sync.Mutex
	ended            bool                // guarded by mu
	onEnd            []func()            // guarded by mu
	onComplete       []func()            // guarded by mu
	progress         Progress            // guarded by mu
	lastEvent        time.Time           // guarded by mu
	onEvent          func(time.Duration) // guarded by mu
	onBody           func([]byte)        // guarded by mu
	bodyBegun        bool                // guarded by mu
	bytesToLastEvent func() int64        // guarded by mu
}

// Progress is the part of a record that changes while the response is transferred.
type Progress struct {
	// Headers is the time of the upstream's response header, zero without one.
	Headers time.Time
	// FirstToken is the time of the first event of a stream, zero without one.
	FirstToken time.Time
	// Events counts the events of a stream.
	Events int
	// Model is the model named in the response, empty if there is none.
	Model string
	// Usage is the usage of the request.
	Usage usage.Usage
	// ByModel is the usage by model of a WebSocket, on which several models may answer.
	ByModel []usage.ModelUsage
}

// ClientName returns the name of the client, empty if the server doesn't tell clients
// apart.
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

// FromContext returns the record of a context. If there is none, it returns a new one,
// which nobody reads.
func FromContext(ctx context.Context) *Record {
	if r, ok := ctx.Value(contextKey{}).(*Record); ok {
		return r
	}
	return &Record{Start: time.Now(), Protocol: Raw}
}

// SetRequest sets what the request asks for.
func (r *Record) SetRequest(model string, streaming bool, otherModels ...string) {
	r.Model, r.Streaming, r.OtherModels = model, streaming, otherModels
}

// SetAttempt sets the upstream of an attempt, and its number, from 1.
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

// SetOutcome sets the outcome, as the client has seen it.
func (r *Record) SetOutcome(status int, code string, aborted bool) {
	r.Status, r.Code, r.Aborted = status, code, aborted
}

// OnEnd registers a function that completes the record when the request ends. The
// functions run in the order of their registration. If the request has ended, f runs
// at once.
func (r *Record) OnEnd(f func()) { r.register(&r.onEnd, f) }

// OnComplete registers a function that reads the complete record. It runs after all
// functions of [Record.OnEnd].
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

// End ends the request. Only the first call has an effect.
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
// not block, or retain the piece. It has no effect if a piece was recorded before.
func (r *Record) OnBody(f func(piece []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.bodyBegun {
		r.onBody = f
	}
}

// RecordBody records a piece of the request body.
func (r *Record) RecordBody(piece []byte) {
	r.mu.Lock()
	r.bodyBegun = true
	f := r.onBody
	r.mu.Unlock()
	if f != nil {
		f(piece)
	}
}

// RecordUsage records the usage, and the model named in the response. ByModel is only
// given if several models may have answered.
func (r *Record) RecordUsage(model string, used usage.Usage, byModel ...usage.ModelUsage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Model, r.progress.Usage, r.progress.ByModel = model, used, byModel
}

// OnBytesToLastEvent sets the function behind [Record.BytesToLastEvent].
func (r *Record) OnBytesToLastEvent(f func() int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytesToLastEvent = f
}

// BytesToLastEvent returns the length of the response body up to and including the last
// event of its stream, 0 if that event has not arrived.
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
