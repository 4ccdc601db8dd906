// Package grpcwebtext serves the text mode of gRPC-Web to clients of a handler that
// knows the binary mode alone. It is the only mode in which the official client,
// grpc-web of npm, receives a stream: an XMLHttpRequest shows no bytes before the
// answer's end, but text.
//
// The bodies of both sides are the same as in the binary mode, in base64, in one or
// more pieces of which each may end with padding:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
package grpcwebtext

import (
	"net/http"
	"strings"
)

const (
	binaryType = "application/grpc-web"
	textType   = binaryType + "-text"
)

// Wrap returns a handler that serves next to clients in either mode. Where the request
// is text, next receives it as binary. The answer is text if the client accepts that,
// or, unless it accepts binary, if the request is. An answer that isn't gRPC-Web's
// is left unchanged.
//
// A request that isn't valid base64 fails as its body is read, with an error of
// [connect.CodeInvalidArgument].
func Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		binary, isText := cutText(r.Header.Get("Content-Type"))
		wantsText := isText
		for accepted := range strings.SplitSeq(strings.Join(r.Header["Accept"], ","), ",") {
			if _, text := cutText(accepted); text {
				wantsText = true
				break
			}
			if isBinary(accepted) {
				wantsText = false
			}
		}
		if r.Method != http.MethodPost || !isText && !wantsText {
			next.ServeHTTP(w, r)
			return
		}
		if isText {
			r = decoded(r, binary)
		}
		if !wantsText || !isBinary(r.Header.Get("Content-Type")) {
			next.ServeHTTP(w, r)
			return
		}
		answer := &responseWriter{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		answer.finish()
	})
}

// decoded returns r with its body and content type as in the binary mode.
func decoded(r *http.Request, contentType string) *http.Request {
	received := r
	r = r.WithContext(r.Context())
	r.Header = r.Header.Clone()
	r.Header.Set("Content-Type", contentType)
	r.Header.Del("Content-Length")
	r.ContentLength = -1
	r.Body = newDecoder(received.Body)
	return r
}

// cutText returns the content type of the binary mode for one of the text mode, and
// reports whether it is that.
func cutText(contentType string) (binary string, ok bool) {
	format, ok := strings.CutPrefix(mediaType(contentType), textType)
	return binaryType + format, ok && (format == "" || format[0] == '+')
}

// isBinary reports whether a content type is of the binary mode.
func isBinary(contentType string) bool {
	format, ok := strings.CutPrefix(mediaType(contentType), binaryType)
	return ok && (format == "" || format[0] == '+')
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}
