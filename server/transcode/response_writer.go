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

// Bounds limits the memory of calls. The zero value has no limits.
type Bounds struct {
	// Memory is the budget for messages, accounted by client.
	Memory *memory.Budget
	// MaxMessageBytes is the maximum size of a compressed message after
	// decompression, in bytes. Connect limits uncompressed messages.
	MaxMessageBytes int
}

// Wrap returns a handler that adds to Connect's RPC handler:
//   - Stream messages that are ready together are flushed together. Connect flushes
//     every message, and the system call is most of the cost of a token.
//   - Responses to an unsupported method or content type list what is supported.
//   - The memory of a call is bounded.
func (b Bounds) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := request.FromContext(r.Context())
		writer := &responseWriter{ResponseWriter: w, request: r, bounds: b, memory: b.Memory.Hold(record.ClientName())}
		defer writer.memory.Close()
		r = r.WithContext(context.WithValue(r.Context(), writerKey{}, writer))
		if writer.memory != nil && r.Body != nil && r.Body != http.NoBody {
			r.Body = writer.memory.BodyReader(r.Body)
		}
		next.ServeHTTP(writer, r)
	})
}

type writerKey struct{}

// writerOf returns the response writer of a call, or nil if Wrap is not used.
func writerOf(ctx context.Context) *responseWriter {
	writer, _ := ctx.Value(writerKey{}).(*responseWriter)
	return writer
}

// responseWriter is the writer of a call's response.
type responseWriter struct {
	http.ResponseWriter

	request  *http.Request
	paused   bool // flushes are deferred
	deferred bool // a flush is pending

	bounds   Bounds
	memory   *memory.Hold // of the call
	received int          // size of the last message in bytes, decompressed
}

// turn is [memory.Budget.AcquireDecoding] for a message to decode or encode.
func (w *responseWriter) turn(ctx context.Context, size int64) (end func()) {
	if w == nil {
		return func() {}
	}
	return w.bounds.Memory.AcquireDecoding(size, ctx.Done())
}

// resize is [memory.Hold.Resize] for the memory of the call.
func (w *responseWriter) resize(size int64) error {
	if w == nil {
		return nil
	}
	return w.memory.Resize(size)
}

// pauseFlush defers flushes until resumeFlush is called or the response ends.
func (w *responseWriter) pauseFlush() {
	if w != nil {
		w.paused = true
	}
}

// resumeFlush flushes if a flush was deferred.
func (w *responseWriter) resumeFlush() {
	if w != nil && w.deferred {
		w.deferred = false
		w.flush()
	}
}

// Flush implements [http.Flusher], which Connect requires of a stream's writer.
func (w *responseWriter) Flush() {
	if w.paused {
		w.deferred = true
		return
	}
	w.flush()
}

func (w *responseWriter) flush() {
	// A disconnected client fails the next Write and ends the context.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap supports [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader adds a body with a Connect error to statuses that Connect sends
// without one.
func (w *responseWriter) WriteHeader(status int) {
	var message string
	switch r := w.request; {
	case status == http.StatusMethodNotAllowed:
		message = fmt.Sprintf("%s does not support the method %q, only %s", r.URL.Path, r.Method, w.Header().Get("Allow"))
	case status == http.StatusUnsupportedMediaType && r.Method == http.MethodGet:
		message = fmt.Sprintf("%s supports GET with the encoding json or proto, not %q, and without a body",
			r.URL.Path, r.URL.Query().Get("encoding"))
	case status == http.StatusUnsupportedMediaType:
		message = fmt.Sprintf("%s does not support the content-type %q, only %s",
			r.URL.Path, r.Header.Get("Content-Type"), withoutParameters(w.Header().Get("Accept-Post")))
	default:
		w.ResponseWriter.WriteHeader(status)
		return
	}
	body, media := []byte(message+"\n"), "text/plain; charset=utf-8"
	if w.request.Header.Get("Connect-Protocol-Version") != "" {
		// Connect clients derive the same code from these statuses.
		if b, err := json.Marshal(map[string]string{"code": "unknown", "message": message}); err == nil {
			body, media = b, mediaJSON
		}
	}
	w.Header().Set("Content-Type", media)
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.Write(body)
}

// withoutParameters removes the media types with parameters from a list.
func withoutParameters(list string) string {
	types := slices.DeleteFunc(strings.Split(list, ", "), func(media string) bool { return strings.Contains(media, ";") })
	return strings.Join(types, ", ")
}
