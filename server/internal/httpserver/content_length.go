package httpserver

import (
	"bytes"
	"net/http"
	"sync/atomic"
)

// lengthPrefix is the beginning of a Content-Length line, in lower case. net/http
// accepts no space before the colon.
const lengthPrefix = "content-length:"

// lengthScanner counts the Content-Length lines in the bytes of an HTTP/1 connection.
// It exists because net/http drops the Content-Length of a request that also has a
// Transfer-Encoding. Lines in bodies are counted too, so the count is an upper bound.
type lengthScanner struct {
	matched int // bytes of the current line that match lengthPrefix; -1 after a mismatch
	lines   atomic.Int64

	declared int64 // Content-Length fields of the requests so far
}

// scan processes the next bytes of the connection.
func (s *lengthScanner) scan(p []byte) {
	for len(p) > 0 {
		if s.matched < 0 {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				return
			}
			p, s.matched = p[end+1:], 0
			continue
		}
		c := p[0]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case c != lengthPrefix[s.matched]:
			s.matched = -1 // c may be the end of the line
			continue
		case s.matched == len(lengthPrefix)-1:
			s.lines.Add(1)
			s.matched = -1
		default:
			s.matched++
		}
		p = p[1:]
	}
}

// mayHaveBoth reports whether an HTTP/1.1 request may have both a Transfer-Encoding
// and a Content-Length. With TLS the scanner sees only ciphertext, so any request with
// a Transfer-Encoding may. It must be called once for each request, in order.
func (s *lengthScanner) mayHaveBoth(r *http.Request) bool {
	s.declared += int64(len(r.Header["Content-Length"]))
	return len(r.TransferEncoding) > 0 && (r.TLS != nil || s.lines.Load() > s.declared)
}
