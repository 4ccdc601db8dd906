package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/request"
)

// Wrap returns a handler that observes the requests of next through their records,
// which [request.Classifier.Wrap] must have created. It ends them. Usage and the time of
// events are only observed if next records them.
func (o *Observer) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.serve(next, w, r) })
}

func (o *Observer) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	record := request.FromContext(ctx)
	record.ID = idOf(r.Header)
	x := &observation{
		observer: o,
		next:     next,
		request:  r,
		record:   record,
		route:    routeOf(r.URL.EscapedPath(), record.Procedure),
		protocol: o.metrics.byProtocol[record.Protocol],
	}
	x.writer = writer{ResponseWriter: w, observation: x}
	record.OnEvent(x.event)
	if r.Body != nil && r.Body != http.NoBody {
		x.request = r.WithContext(ctx)
		x.request.Body = &body{ReadCloser: r.Body, observation: x}
	}
	x.protocol.openRequests.Inc()
	returned := false
	defer func() { x.end(ctx, !returned) }()
	if record.Protocol == request.Raw && o.traced != nil {
		ctx = context.WithValue(ctx, observationKey{}, x)
		x.request = x.request.WithContext(ctx)
		o.traced.ServeHTTP(&x.writer, sanitizedRequest(ctx, x))
	} else {
		next.ServeHTTP(&x.writer, x.request)
	}
	returned = true
}

// observation observes one request.
type observation struct {
	observer *Observer
	next     http.Handler
	request  *http.Request
	record   *request.Record
	route    string
	protocol *protocolMetrics
	writer   writer

	streaming  bool                // counted as an open stream
	received   atomic.Int64        // bytes
	sent       atomic.Int64        // bytes
	flushed    atomic.Int64        // the part of sent that is certain to be on its way
	interToken prometheus.Observer // nil before the second event
}

type observationKey struct{}

// event observes an event of a stream, except the first.
func (x *observation) event(sincePrevious time.Duration) {
	if x.interToken == nil {
		x.interToken = x.observer.metrics.interToken.WithLabelValues(string(x.record.Protocol), x.route)
	}
	x.interToken.Observe(sincePrevious.Seconds())
}

// begin observes the header of the response.
func (x *observation) begin(status int) {
	if x.record.Status != 0 {
		return
	}
	x.record.Status = status
	if status == http.StatusSwitchingProtocols || x.record.Streaming ||
		httpx.IsEventStream(x.writer.Header()) {
		x.streaming = true
		x.protocol.openStreams.Inc()
	}
}

// end is called when the handler has returned, or has panicked to abort the response.
func (x *observation) end(ctx context.Context, panicked bool) {
	status, code := x.record.Status, x.record.Code
	if status == 0 && !panicked {
		status = http.StatusOK // net/http's default
	}
	if x.record.Protocol != request.Raw && code == "" {
		code = rpcCode(x.writer.Header(), status)
	}
	x.record.SetOutcome(status, code, panicked && !x.delivered())
	x.record.End()
	x.protocol.openRequests.Dec()
	if x.streaming {
		x.protocol.openStreams.Dec()
	}
	x.observer.metrics.count(x)
	if x.observer.requests != nil {
		x.observer.logRequest(context.WithoutCancel(ctx), x)
	}
}

// delivered reports whether the client disconnected after it had the whole response: it
// need not wait for the end of a stream after the last event.
func (x *observation) delivered() bool {
	if x.record.Protocol != request.Raw || x.request.Context().Err() == nil {
		return false
	}
	last := x.record.BytesToLastEvent()
	return last > 0 && x.flushed.Load() >= last
}

// maxIDBytes is the maximum size of a request ID from a client.
const maxIDBytes = 128

// idOf returns an ID for a request: the client's, if it may be logged, or a random one.
func idOf(header http.Header) string {
	if values := header["X-Client-Request-Id"]; len(values) == 1 && isVisibleASCII(values[0], maxIDBytes) {
		return values[0]
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// isVisibleASCII reports whether a string consists of 1 to limit visible ASCII
// characters.
func isVisibleASCII(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
