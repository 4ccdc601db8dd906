package cors

import (
	"errors"
	"net/http"
)

// errReplaced is the error of writing a body whose response was replaced.
var errReplaced = errors.New("the response was replaced by the CORS policy")

// responseWriter applies the policy when the final header is written.
type responseWriter struct {
	http.ResponseWriter

	policy      *Policy
	request     *http.Request
	enforced    bool // CORS headers of the handler are removed
	wroteHeader bool // the final header is written
	replaced    bool // the response is the policy's; the body is discarded
}

// WriteHeader implements [http.ResponseWriter]. Interim responses are passed on unchanged,
// on any goroutine.
func (w *responseWriter) WriteHeader(status int) {
	if status < http.StatusOK || w.wroteHeader {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.wroteHeader = true
	header := w.Header()
	if w.enforced {
		stripCORS(header)
	}
	if isPreflight(w.request) && len(header[allowOrigin]) == 0 && w.policy.allowed(w.request) != "" {
		w.replaced = true
		w.policy.allowPreflight(header, w.request)
		w.ResponseWriter.WriteHeader(http.StatusNoContent)
		return
	}
	w.policy.addCORS(header, w.request)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(body []byte) (int, error) {
	w.start()
	if w.replaced {
		return 0, errReplaced
	}
	return w.ResponseWriter.Write(body)
}

// FlushError serves [http.ResponseController].
func (w *responseWriter) FlushError() error {
	w.start()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// start writes the header if the handler has not.
func (w *responseWriter) start() {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
}

// finish must be called when the handler has returned. If it has written nothing, either
// the response is empty or the connection was hijacked.
func (w *responseWriter) finish() {
	switch {
	case w.wroteHeader:
	case isPreflight(w.request):
		w.start()
	default:
		w.policy.addCORS(w.Header(), w.request)
	}
}

// recoverAbort must be deferred by the handler of a preflight. It recovers from an
// [http.ErrAbortHandler] panic if the response was replaced.
func (w *responseWriter) recoverAbort() {
	value := recover()
	if value == nil || w.replaced && value == http.ErrAbortHandler { //nolint:errorlint // never wrapped
		return
	}
	panic(value)
}

// Unwrap serves [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
