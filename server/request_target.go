package server

import (
	"fmt"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
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
		router.reject(w, r, &apierror.Error{
			Status: http.StatusRequestURITooLong, Type: apierror.InvalidRequest, Code: "uri_too_long",
			Message: fmt.Sprintf("The request target has %d bytes, and this server takes up to %d: send what is long in the body of a POST.",
				len(r.RequestURI), transcode.MaxTargetBytes),
		})
	})
}
