package server

import (
	"fmt"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/transcode"
)

// limitTarget returns a handler that rejects requests with a long target with status 414
// (RFC 9110 §15.5.15), in the protocol of the request. They include a Connect GET with a
// large message, which is in the query. Such a message requires a POST.
func limitTarget(router *router, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.RequestURI) <= transcode.MaxTargetBytes {
			next.ServeHTTP(w, r)
			return
		}
		router.reject(w, r, &apierror.Error{
			Status: http.StatusRequestURITooLong, Type: apierror.InvalidRequest, Code: "uri_too_long",
			Message: fmt.Sprintf("The request target has %d bytes; this server accepts up to %d. Use POST for large requests.",
				len(r.RequestURI), transcode.MaxTargetBytes),
		})
	})
}
