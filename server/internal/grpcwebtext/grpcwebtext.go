// Package grpcwebtext adds the text mode of gRPC-Web to a handler that only supports the
// binary mode. The official client, the npm package grpc-web, receives streams only in
// text mode: an XMLHttpRequest returns text, but not bytes, before the end of a response.
//
// The bodies are those of the binary mode encoded as base64, in one or more pieces that
// may each end with padding:
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

// Wrap returns a handler that serves next in both modes. Text requests are decoded for
// next. Responses are encoded if the client accepts text, or if the request is text and
// the client does not accept binary. Responses other than gRPC-Web are unchanged.
//
// Reading the body of a request with invalid base64 returns an error with
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
		encoder := &responseWriter{ResponseWriter: w}
		next.ServeHTTP(encoder, r)
		encoder.finish()
	})
}

// decoded returns a request with a decoded body and the content type of the binary mode.
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

// cutText returns the binary content type for a text content type. It reports false for
// other content types.
func cutText(contentType string) (binary string, ok bool) {
	format, ok := strings.CutPrefix(mediaType(contentType), textType)
	return binaryType + format, ok && (format == "" || format[0] == '+')
}

// isBinary reports whether a content type belongs to the binary mode.
func isBinary(contentType string) bool {
	format, ok := strings.CutPrefix(mediaType(contentType), binaryType)
	return ok && (format == "" || format[0] == '+')
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}
