package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-connect/openai-connect/server/request"
)

// wrapper is a handler whose calls are observed.
type wrapper struct {
	observer   *Observer
	next       http.Handler
	procedures map[string]bool
}

// ServeHTTP implements [http.Handler].
func (h *wrapper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way := wayOf(r, h.procedures)
	x := &exchange{
		observer: h.observer,
		next:     h.next,
		ways:     h.observer.metrics.of(way),
		call: request.Record{
			ID:       idOf(r.Header),
			Start:    time.Now(),
			Protocol: way,
			Route:    routeOf(r.URL.EscapedPath(), h.procedures),
		},
	}
	x.writer = writer{ResponseWriter: w, exchange: x}
	x.call.OnEvent(x.event)
	ctx := context.WithValue(request.NewContext(r.Context(), &x.call), exchangeKey{}, x)
	if r.Body != nil && r.Body != http.NoBody && r.Trailer == nil {
		// Fields that come unannounced are put into the map that is there, and
		// otherwise into one that r alone would have.
		r.Trailer = make(http.Header)
	}
	x.request = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		x.request.Body = &body{ReadCloser: r.Body, exchange: x}
	}
	x.ways.openCalls.Inc()
	returned := false
	defer func() { x.end(ctx, !returned) }()
	if way == request.Raw && h.observer.traced != nil {
		h.observer.traced.ServeHTTP(&x.writer, bare(x.request))
	} else {
		h.next.ServeHTTP(&x.writer, x.request)
	}
	returned = true
}

// exchange is a call that is observed.
type exchange struct {
	observer *Observer
	next     http.Handler
	request  *http.Request
	ways     *wayMetrics
	call     request.Record
	writer   writer

	status    int                 // of the answer, 0 before its header
	streams   bool                // it counts among the open streams
	received  atomic.Int64        // bytes
	sent      atomic.Int64        // bytes
	flushed   atomic.Int64        // bytes of those, that are on their way for sure
	between   prometheus.Observer // of the time between tokens; nil before the second
	requestID string              // the upstream's name for the call
	traceID   string              // empty if it isn't traced
	aborted   bool                // the answer was broken off
	finish    func()              // ends the client's span; nil if there is none
}

type exchangeKey struct{}

// exchangeOf returns the exchange that a context belongs to, nil if none.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// event is told of each event of a stream but the first.
func (x *exchange) event(since time.Duration) {
	if x.between == nil {
		x.between = x.observer.metrics.betweenTokens.WithLabelValues(string(x.call.Protocol), x.call.Route)
	}
	x.between.Observe(since.Seconds())
}

// begins notes that the header of the answer is sent.
func (x *exchange) begins(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	if status == http.StatusSwitchingProtocols || x.call.Streaming ||
		strings.HasPrefix(x.writer.Header().Get("Content-Type"), "text/event-stream") {
		x.streams = true
		x.ways.openStreams.Inc()
	}
}

// end is called when the handler has returned, or panicked, which aborts.
func (x *exchange) end(ctx context.Context, aborted bool) {
	x.aborted = aborted && !x.delivered()
	if x.status == 0 && !aborted {
		x.status = http.StatusOK // as net/http has it where a handler says nothing
	}
	if x.call.Protocol != request.Raw && x.call.Code == "" {
		x.call.Code = codeOf(x.writer.Header(), x.status)
	}
	x.call.End() // All is known of it then.
	if x.finish != nil {
		x.finish()
	}
	x.ways.openCalls.Dec()
	if x.streams {
		x.ways.openStreams.Dec()
	}
	x.observer.metrics.count(x)
	if x.observer.calls != nil {
		x.observer.logCall(context.WithoutCancel(ctx), x)
	}
}

// delivered reports whether the client left an answer that was aborted when it had all
// of it: behind the last event of a stream it need not wait for the stream's end.
func (x *exchange) delivered() bool {
	if x.call.Protocol != request.Raw || x.request.Context().Err() == nil {
		return false
	}
	last := x.call.BytesToLastEvent()
	return last > 0 && x.flushed.Load() >= last
}

// maxID bounds the name that a client gives its call, in bytes.
const maxID = 128

// idOf returns a name for a call: the client's own, if it is one that may be
// logged, or else a random one.
func idOf(header http.Header) string {
	if values := header["X-Client-Request-Id"]; len(values) == 1 && isPlain(values[0], maxID) {
		return values[0]
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // It never fails.
	return hex.EncodeToString(random[:])
}

// isPlain reports whether a text has 1 to limit characters, all of which are
// visible ones of ASCII.
func isPlain(text string, limit int) bool {
	if text == "" || len(text) > limit {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
