package httpx

import (
	"net/http"
	"strings"
)

// IsIdempotent reports whether a method is idempotent (RFC 9110 §9.2.2).
func IsIdempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// IsEventStream reports whether the Content-Type is text/event-stream.
func IsEventStream(header http.Header) bool {
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
