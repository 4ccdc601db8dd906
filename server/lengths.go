package server

import (
	"bytes"
	"net/http"
	"sync/atomic"
)

// lengthField is how a line begins that states a length. net/http takes no space
// before the colon.
const lengthField = "content-length:"

// lengths counts the lines of what a client sends over HTTP/1 that begin as
// Content-Length does. net/http drops the Content-Length of a request with a Transfer-Encoding. In
// a body such lines are counted too.
type lengths struct {
	matched int // bytes of the line that agree with lengthField; -1 where one doesn't
	lines   atomic.Int64

	stated int64 // Content-Length fields of the requests that came so far
}

// scan is told what comes next.
func (l *lengths) scan(p []byte) {
	for len(p) > 0 {
		if l.matched < 0 {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				return
			}
			p, l.matched = p[end+1:], 0
			continue
		}
		c := p[0]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case c != lengthField[l.matched]:
			l.matched = -1 // the byte may be the line's end
			continue
		case l.matched == len(lengthField)-1:
			l.lines.Add(1)
			l.matched = -1
		default:
			l.matched++
		}
		p = p[1:]
	}
}

// mayHaveBoth reports whether a request over HTTP/1.1 that has a Transfer-Encoding may
// have a Content-Length too. With TLS what came can't be seen, so it may. It is called
// once for each request, in order.
func (c *connection) mayHaveBoth(r *http.Request) bool {
	c.lengths.stated += int64(len(r.Header["Content-Length"]))
	return len(r.TransferEncoding) > 0 && (r.TLS != nil || c.lengths.lines.Load() > c.lengths.stated)
}
