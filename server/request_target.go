package server

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/transcode"
)

// limitTarget returns a handler that answers requests with a longer target with
// status 414 (RFC 9110 §15.5.15), in the protocol of the request. That includes a
// Connect GET, which has its message in the query: a larger message takes a POST.
func limitTarget(router *router, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) <= transcode.MaxTargetBytes {
			next.ServeHTTP(w, r)
			return
		}
		router.refuse(statusOf{w, http.StatusTooManyRequests, http.StatusRequestURITooLong}, r, refusal{
			status: http.StatusRequestURITooLong, code: connect.CodeResourceExhausted,
			kind: "invalid_request_error", reason: "uri_too_long",
			message: fmt.Sprintf("The request target has %d bytes, and this server takes up to %d: send what is long in the body of a POST.",
				len(r.RequestURI), transcode.MaxTargetBytes),
		})
	})
}

// statusOf writes the status that HTTP has for a failure in place of the one that
// Connect derives from its code.
type statusOf struct {
	http.ResponseWriter

	connect, status int
}

func (w statusOf) WriteHeader(status int) {
	if status == w.connect {
		status = w.status
	}
	w.ResponseWriter.WriteHeader(status)
}
