package transcode

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/request"
)

// Bounds bound what calls hold in memory. The zero value bounds nothing.
type Bounds struct {
	// Memory is the budget of messages, each on the account of its client.
	Memory *memory.Budget
	// MaxMessageBytes bounds a message that comes compressed, when it is decompressed.
	// Others are for Connect to bound.
	MaxMessageBytes int
}

// Wrap is [Bounds.Wrap] without bounds.
func Wrap(next http.Handler) http.Handler { return Bounds{}.Wrap(next) }

// Wrap wraps Connect's handler of an RPC with things that it lacks.
//
// Messages of a stream which are ready together leave in one write. Connect
// flushes after every message, and a flush is a system call: most of what a
// token costs.
//
// A request that is none of the RPC's, by its method or its content type, is
// told what the RPC takes.
//
// What a call holds in memory is bounded.
func (b Bounds) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writer := &responseWriter{ResponseWriter: w, request: r, bounds: b, memory: b.Memory.Hold(request.FromContext(r.Context()).ClientName())}
		defer writer.memory.Close()
		r = r.WithContext(context.WithValue(r.Context(), writerKey{}, writer))
		if writer.memory != nil && r.Body != nil && r.Body != http.NoBody {
			r.Body = writer.memory.BodyReader(r.Body)
		}
		next.ServeHTTP(writer, r)
	})
}

type writerKey struct{}

// writerOf returns the writer that Wrap has put under a call, and nil where
// there is none.
func writerOf(ctx context.Context) *responseWriter {
	writer, _ := ctx.Value(writerKey{}).(*responseWriter)
	return writer
}

// responseWriter is what Connect writes a response to.
type responseWriter struct {
	http.ResponseWriter

	request *http.Request
	holding bool // flushes are left out
	held    bool // one was

	bounds   Bounds
	memory   *memory.Hold // of the call
	received int          // bytes of the last message, decompressed
}

// turn is [memory.Budget.Turn] for what the call has to decode or encode.
func (w *responseWriter) turn(ctx context.Context, size int64) (end func()) {
	if w == nil {
		return func() {}
	}
	return w.bounds.Memory.Turn(size, ctx.Done())
}

// resize is [memory.Hold.Resize] for what the call holds.
func (w *responseWriter) resize(size int64) error {
	if w == nil {
		return nil
	}
	return w.memory.Resize(size)
}

// hold leaves flushes out until release is called, or the response ends.
func (w *responseWriter) hold() {
	if w != nil {
		w.holding = true
	}
}

// release makes up for the flushes that were left out since the last one.
func (w *responseWriter) release() {
	if w != nil && w.held {
		w.held = false
		w.flush()
	}
}

// Flush implements [http.Flusher], which Connect requires of a stream's writer.
func (w *responseWriter) Flush() {
	if w.holding {
		w.held = true
		return
	}
	w.flush()
}

func (w *responseWriter) flush() {
	// A client that is gone shows in the next Write, and ends the context.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap serves [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader gives the statuses that Connect sends bare a body in the form of
// a Connect error.
func (w *responseWriter) WriteHeader(status int) {
	var message string
	switch r := w.request; {
	case status == http.StatusMethodNotAllowed:
		message = fmt.Sprintf("%s does not take the method %q, but %s", r.URL.Path, r.Method, w.Header().Get("Allow"))
	case status == http.StatusUnsupportedMediaType && r.Method == http.MethodGet:
		message = fmt.Sprintf("%s takes a GET with the encoding json or proto, not %q, and without a body",
			r.URL.Path, r.URL.Query().Get("encoding"))
	case status == http.StatusUnsupportedMediaType:
		message = fmt.Sprintf("%s does not take the content-type %q, but %s",
			r.URL.Path, r.Header.Get("Content-Type"), withoutParameters(w.Header().Get("Accept-Post")))
	default:
		w.ResponseWriter.WriteHeader(status)
		return
	}
	body, media := []byte(message+"\n"), "text/plain; charset=utf-8"
	if w.request.Header.Get("Connect-Protocol-Version") != "" {
		// The code is the one that Connect clients derive from these statuses.
		if b, err := json.Marshal(map[string]string{"code": "unknown", "message": message}); err == nil {
			body, media = b, mediaJSON
		}
	}
	w.Header().Set("Content-Type", media)
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.Write(body)
}

// withoutParameters leaves out the media types of a list that have parameters.
func withoutParameters(list string) string {
	types := slices.DeleteFunc(strings.Split(list, ", "), func(media string) bool { return strings.Contains(media, ";") })
	return strings.Join(types, ", ")
}
