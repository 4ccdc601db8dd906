package cors

import (
	"errors"
	"net/http"
)

// errReplaced tells a handler to go on no further.
var errReplaced = errors.New("another answer was given")

// responseWriter adds what the policy says when the final header is written.
type responseWriter struct {
	http.ResponseWriter

	policy   *Policy
	request  *http.Request
	sole     bool // the policy alone decides
	final    bool // the final header is written
	replaced bool // by the policy's answer, so that there is no more to write
}

// WriteHeader implements [http.ResponseWriter]. Interim responses pass as they
// are, on whatever goroutine.
func (w *responseWriter) WriteHeader(status int) {
	if status < http.StatusOK || w.final {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.final = true
	header := w.Header()
	if w.sole {
		silence(header)
	}
	if isPreflight(w.request) && len(header[allowOrigin]) == 0 && w.policy.allowed(w.request) != "" {
		w.replaced = true
		w.policy.allowRequest(header, w.request)
		w.ResponseWriter.WriteHeader(http.StatusNoContent)
		return
	}
	w.policy.grant(header, w.request)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(body []byte) (int, error) {
	w.begin()
	if w.replaced {
		return 0, errReplaced
	}
	return w.ResponseWriter.Write(body)
}

// FlushError serves [http.ResponseController].
func (w *responseWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// begin writes the header that a handler leaves to be written.
func (w *responseWriter) begin() {
	if !w.final {
		w.WriteHeader(http.StatusOK)
	}
}

// finish is called when the handler has returned. If it has written nothing then
// either nothing is its answer, or it has taken the connection over.
func (w *responseWriter) finish() {
	switch {
	case w.final:
	case isPreflight(w.request):
		w.begin()
	default:
		w.policy.grant(w.Header(), w.request)
	}
}

// endPreflight is deferred around the handler of a preflight. Where its answer is
// replaced, it may end it in any way.
func (w *responseWriter) endPreflight() {
	failed := recover()
	if failed == nil || w.replaced && failed == http.ErrAbortHandler { //nolint:errorlint // it is that very value
		return
	}
	panic(failed)
}

// Unwrap serves [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
