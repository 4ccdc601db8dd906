package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// clientConn is a connection with a client. It is reset if the client reads nothing of
// what is written for the listener's stall timeout.
type clientConn struct {
	net.Conn

	listener  *limitListener
	released  atomic.Bool
	idleSince atomic.Int64 // zero if the connection is not idle
	expiresAt int64        // zero for never

	reader       deadline.Reader
	writer       deadline.Writer
	lengths      lengthScanner
	readTimedOut atomic.Bool // the client did not send the rest of a body in time

	coalescer atomic.Pointer[writeCoalescer] // nil for HTTP/1.1

	unfinished atomic.Bool // a close would look like the end of the response
}

func newClientConn(network net.Conn, listener *limitListener) *clientConn {
	c := &clientConn{Conn: network, listener: listener}
	c.reader.Conn = network
	c.writer.Conn, c.writer.Timeout = network, listener.stallTimeout
	if listener.maxAge > 0 {
		c.expiresAt = listener.now() + int64(jitter(listener.maxAge))
	}
	return c
}

// connKey is the context key of a request's [*clientConn].
type connKey struct{}

// connContext is the [http.Server.ConnContext] hook.
func connContext(ctx context.Context, network net.Conn) context.Context {
	if c := clientConnOf(network); c != nil {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// requestConn returns the connection of a request, or nil if another server received it.
func requestConn(r *http.Request) *clientConn {
	c, _ := r.Context().Value(connKey{}).(*clientConn)
	return c
}

// clientConnOf returns the connection below TLS and the PROXY protocol, or nil if it
// is not a [*clientConn].
func clientConnOf(network net.Conn) *clientConn {
	c, _ := httpx.UnwrapConn(network).(*clientConn)
	return c
}

// isExpired reports whether the connection has reached its maximum age.
func (c *clientConn) isExpired() bool { return c.expiresAt != 0 && c.listener.now() >= c.expiresAt }

// coalesce makes the connection coalesce all further writes. It takes effect between
// two writes, which HTTP/2 and TLS serialize.
func (c *clientConn) coalesce() {
	if c.coalescer.Load() == nil {
		c.coalescer.CompareAndSwap(nil, newWriteCoalescer(c.write))
	}
}

// Read implements [net.Conn].
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	if c.coalescer.Load() == nil {
		c.lengths.scan(p[:max(n, 0)])
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.reader.LimitExpired() {
		c.readTimedOut.Store(true) // before net/http sees the error, which it takes for a disconnect
	}
	return n, err
}

// limitRead makes reads fail from now on if the client sends nothing for the timeout.
func (c *clientConn) limitRead(timeout time.Duration) { _ = c.reader.SetLimit(time.Now().Add(timeout)) }

// clearReadLimit cancels limitRead.
func (c *clientConn) clearReadLimit() { _ = c.reader.SetLimit(time.Time{}) }

// SetReadDeadline implements [net.Conn].
func (c *clientConn) SetReadDeadline(t time.Time) error { return c.reader.Set(t) }

// Write implements [net.Conn].
func (c *clientConn) Write(p []byte) (int, error) {
	if coalescer := c.coalescer.Load(); coalescer != nil {
		return coalescer.Write(p)
	}
	return c.write(p)
}

// write continues for as long as the client reads something, however slowly.
func (c *clientConn) write(p []byte) (int, error) {
	for sent := 0; ; {
		n, err := c.writer.Write(p[sent:])
		sent += n
		if err == nil || c.writer.IsSet() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
		if n == 0 {
			c.reset()
			return sent, err
		}
	}
}

// SetWriteDeadline implements [net.Conn], except that coalesced data is still sent
// after the deadline: crypto/tls sets a passed deadline after its last record.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	if coalescer := c.coalescer.Load(); coalescer != nil && !t.IsZero() && !t.After(time.Now()) {
		coalescer.reject(os.ErrDeadlineExceeded)
		return nil
	}
	return c.writer.Set(t)
}

// SetDeadline implements [net.Conn].
func (c *clientConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// reset closes the connection and makes the kernel discard unsent data.
func (c *clientConn) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// resetNetwork resets the network connection, without waiting for a concurrent Close.
func (c *clientConn) resetNetwork() {
	_ = c.SetLinger(0)
	_ = c.Conn.Close()
}

// SetLinger sets what happens to unsent data when the connection is closed, as
// [net.TCPConn.SetLinger] does. After SetLinger(0), closing resets the connection.
func (c *clientConn) SetLinger(seconds int) error { return httpx.SetLinger(c.Conn, seconds) }

// CloseWrite closes the sending direction after what was written before.
func (c *clientConn) CloseWrite() error {
	half, ok := c.Conn.(httpx.HalfCloser)
	if !ok {
		return errors.ErrUnsupported
	}
	if coalescer := c.coalescer.Load(); coalescer != nil {
		coalescer.close(func() { _ = half.CloseWrite() })
		return nil
	}
	return half.CloseWrite()
}

// Close implements [net.Conn]. Coalesced data is sent in the background for up to
// closeGrace.
func (c *clientConn) Close() error {
	if !c.released.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	if c.unfinished.Load() {
		_ = c.SetLinger(0)
	}
	coalescer := c.coalescer.Load()
	if coalescer == nil {
		return c.release()
	}
	l := c.listener
	l.mu.Lock()
	l.closing++
	l.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(closeGrace))
	coalescer.close(func() {
		_ = c.release()
		l.mu.Lock()
		l.closing--
		l.mu.Unlock()
		l.closingEnded.Broadcast()
	})
	return nil
}

// release closes the network connection and frees its slot.
func (c *clientConn) release() error {
	err := c.Conn.Close()
	l := c.listener
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	l.stats.connections.Add(-1)
	<-l.slots
	return err
}
