package server

import (
	"net/http"
	"strconv"
)

// strictFraming returns a handler for requests whose end could be somewhere else
// for another peer, and which net/http lets through.
//
// A connection of HTTP/1.0 carries one request: if that has a Transfer-Encoding,
// of which net/http doesn't tell, RFC 9112 §6.1 demands that it is closed. It demands
// the same where a request over HTTP/1.1 has a Content-Length too. Over HTTP/2 a request is malformed if it has several lengths, or one and no body
// (RFC 9113 §8.1.1).
func strictFraming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch lengths := r.Header["Content-Length"]; {
		case !r.ProtoAtLeast(1, 1):
			w.Header().Set("Connection", "close")
		case r.ProtoMajor == 1:
			if c, ok := r.Context().Value(connectionKey{}).(*connection); ok && c.mayHaveBoth(r) {
				w.Header().Set("Connection", "close")
			}
		case len(lengths) == 0:
		case len(lengths) > 1 || !isLength(lengths[0], r.ContentLength):
			http.Error(w, "the content-length is not that of the body", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLength reports whether text states a length in bytes.
func isLength(text string, length int64) bool {
	stated, err := strconv.ParseUint(text, 10, 63)
	return err == nil && int64(stated) == length
}
