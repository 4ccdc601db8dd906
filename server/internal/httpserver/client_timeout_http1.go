package httpserver

import (
	"io"
	"net/http"
	"time"
)

// timeoutBody1 is the body of an HTTP/1.1 request whose client may stall. The timeout
// is a deadline of the connection, which costs next to nothing there.
type timeoutBody1 struct {
	conn     *clientConn
	timeout  time.Duration
	original *http.Request
	inner    *http.Request // original with this body
}

// limitBody returns a copy of r whose body has a timeout.
//
// It must be a copy: from the type of the body in its own request, net/http determines
// whether a closed body was read to its end. If it was not, the rest must not be taken
// for the next request.
func limitBody(r *http.Request, timeout time.Duration) *http.Request {
	conn := requestConn(r)
	if conn == nil {
		return r
	}
	// This also covers net/http reading the rest of the body, before it writes the
	// header or at the end.
	conn.limitRead(timeout)
	b := &timeoutBody1{conn: conn, timeout: timeout, original: r, inner: r.WithContext(r.Context())}
	b.inner.Body = b
	return b.inner
}

// Read implements [io.Reader].
func (b *timeoutBody1) Read(p []byte) (int, error) {
	b.conn.limitRead(b.timeout)
	n, err := b.original.Body.Read(p)
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is an error
		b.conn.clearReadLimit()
		copyTrailer(b.inner, b.original)
	} else if err != nil && b.Stalled() != nil {
		err = b.Stalled() // the connection's error contains addresses
	}
	return n, err
}

// Close implements [io.Closer].
func (b *timeoutBody1) Close() error { return b.original.Body.Close() }

// Stalled returns the error of reading if the client stalled, and nil otherwise.
func (b *timeoutBody1) Stalled() error {
	if !b.conn.readTimedOut.Load() {
		return nil
	}
	return &stallError{b.timeout}
}
