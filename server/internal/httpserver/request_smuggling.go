package httpserver

import (
	"net/http"
	"strconv"
)

// strictFraming returns a handler that guards against requests whose length another
// peer could understand differently, and which net/http accepts.
//
// An HTTP/1.0 connection carries one request here: RFC 9112 §6.1 requires it to be
// closed if the request has a Transfer-Encoding, which net/http does not report. It
// requires the same if an HTTP/1.1 request has both a Transfer-Encoding and a
// Content-Length. An HTTP/2 request is malformed if it has several lengths, or if its
// length differs from its body (RFC 9113 §8.1.1).
func strictFraming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch lengths := r.Header["Content-Length"]; {
		case !r.ProtoAtLeast(1, 1):
			w.Header().Set("Connection", "close")
		case r.ProtoMajor == 1:
			if c := requestConn(r); c != nil && c.lengths.mayHaveBoth(r) {
				w.Header().Set("Connection", "close")
			}
		case len(lengths) == 0:
		case len(lengths) > 1 || !isLength(lengths[0], r.ContentLength):
			http.Error(w, "the Content-Length does not match the request body", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLength reports whether a field value is the decimal form of a length.
func isLength(value string, length int64) bool {
	declared, err := strconv.ParseUint(value, 10, 63)
	return err == nil && int64(declared) == length
}
