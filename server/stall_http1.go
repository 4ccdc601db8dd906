package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// limitedBody is the body of a request over HTTP/1.1, whose client may send
// nothing of it for no longer than a limit. It is the connection that sees to
// that, where a deadline costs next to nothing.
type limitedBody struct {
	conn     *connection
	limit    time.Duration
	received *http.Request
	handed   *http.Request // the same with this body
}

// limitBody returns r with a body that is limited.
//
// By the type of the body in its own request net/http tells whether a body that
// was closed had been read to its end. If it hadn't, the rest of it must not be
// taken for the next request: so it goes into a copy.
func limitBody(r *http.Request, limit time.Duration) *http.Request {
	conn, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return r
	}
	// Also while net/http reads what a handler has left of the body, before it
	// writes the header, or at the end.
	conn.limitReading(limit)
	b := &limitedBody{conn: conn, limit: limit, received: r, handed: r.WithContext(r.Context())}
	b.handed.Body = b
	return b.handed
}

// connectionKey is where the context of a request has its [*connection].
type connectionKey struct{}

// withConnection is [http.Server.ConnContext].
func withConnection(ctx context.Context, network net.Conn) context.Context {
	if c := connectionOf(network); c != nil {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	return ctx
}

// Read implements [io.Reader].
func (b *limitedBody) Read(p []byte) (int, error) {
	b.conn.limitReading(b.limit)
	n, err := b.received.Body.Read(p)
	if err == io.EOF { //nolint:errorlint // an end that is wrapped is none
		b.conn.endLimit()
		handTrailer(b.handed, b.received)
	} else if err != nil && b.Stalled() != nil {
		err = b.Stalled() // the connection's own names its addresses
	}
	return n, err
}

// Close implements [io.Closer].
func (b *limitedBody) Close() error { return b.received.Body.Close() }

// Stalled returns the error that reading fails with since the client stalled,
// nil if it did not.
func (b *limitedBody) Stalled() error {
	if !b.conn.stalled.Load() {
		return nil
	}
	return &stallError{b.limit}
}
