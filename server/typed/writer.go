package typed

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Wrap wraps Connect's handler of an RPC with two things that it lacks.
//
// Messages of a stream which are ready together leave in one write. Connect
// flushes after every message, and a flush is a system call: most of what a
// token costs.
//
// A request that is none of the RPC's, by its method or its content type, is
// told what the RPC takes.
func Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writer := &responseWriter{ResponseWriter: w, request: r}
		next.ServeHTTP(writer, r.WithContext(context.WithValue(r.Context(), writerKey{}, writer)))
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
	held    bool
}

// hold says whether another message follows at once. Flushes are left out while
// one does; the end of the response flushes what is left.
func (w *responseWriter) hold(more bool) {
	if w != nil {
		w.held = more
	}
}

// Flush implements [http.Flusher], which Connect requires of a stream's writer.
func (w *responseWriter) Flush() {
	if !w.held {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// Unwrap serves [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader gives the statuses that Connect sends bare a body in the form of
// a Connect error.
func (w *responseWriter) WriteHeader(status int) {
	var message string
	switch r := w.request; status {
	case http.StatusMethodNotAllowed:
		message = fmt.Sprintf("%s does not take the method %q, but %s", r.URL.Path, r.Method, w.Header().Get("Allow"))
	case http.StatusUnsupportedMediaType:
		message = fmt.Sprintf("%s does not take the content-type %q, but %s",
			r.URL.Path, r.Header.Get("Content-Type"), withoutParameters(w.Header().Get("Accept-Post")))
	default:
		w.ResponseWriter.WriteHeader(status)
		return
	}
	body, err := json.Marshal(map[string]string{"code": "unimplemented", "message": message})
	if err != nil {
		body = nil // Strings always marshal.
	}
	w.Header().Set("Content-Type", mediaJSON)
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.ResponseWriter.Write(body)
}

// withoutParameters leaves out the media types of a list that have parameters.
func withoutParameters(list string) string {
	types := slices.DeleteFunc(strings.Split(list, ", "), func(media string) bool { return strings.Contains(media, ";") })
	return strings.Join(types, ", ")
}
