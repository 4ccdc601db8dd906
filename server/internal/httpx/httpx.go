// Package httpx defines the optional methods of response writers, bodies and
// connections that the layers of the server use across each other's wrappers.
//
// A wrapper must pass these on: a response writer has Unwrap, for
// [net/http.ResponseController]; a request body has Stalled; a response body has Wait; a
// connection has CloseWrite and NetConn. The functions of this package call the method if
// there is one.
package httpx

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Staller is a request body that reports whether its client stalled.
type Staller interface {
	// Stalled returns an error if the client sent nothing of the body for too long, and
	// nil otherwise. The request is then answered with status 408.
	Stalled() error
}

// Stalled returns the error of body if it is a [Staller], and nil otherwise.
func Stalled(body io.Reader) error {
	if staller, ok := body.(Staller); ok {
		return staller.Stalled()
	}
	return nil
}

// Waiter is a response body that can be waited for without a buffer.
type Waiter interface {
	// Wait returns when Read would not block. Most readers of event streams wait for a
	// long time, and need not hold a buffer meanwhile.
	Wait()
}

// Wait waits until a read of body would not block, if it is a [Waiter].
func Wait(body io.Reader) {
	if waiter, ok := body.(Waiter); ok {
		waiter.Wait()
	}
}

// HalfCloser is a connection whose directions can be closed separately.
type HalfCloser interface {
	// CloseWrite closes the sending direction.
	CloseWrite() error
}

// CloseWrite closes the sending direction of a connection. It returns
// [errors.ErrUnsupported] if the connection is not a [HalfCloser].
func CloseWrite(conn io.Writer) error {
	if half, ok := conn.(HalfCloser); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Duplex is an upgraded connection: the body of a response with status 101, or the
// hijacked connection of a client.
type Duplex interface {
	io.ReadWriteCloser
	HalfCloser
	SetReadDeadline(deadline time.Time) error
}

// Unwrap returns the response writer of the server, below all wrappers.
func Unwrap(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// UnwrapConn returns the connection below TLS and other protocols.
func UnwrapConn(conn net.Conn) net.Conn {
	for {
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = wrapper.NetConn()
	}
}

// Reset closes a connection with a TCP reset and without a TLS close_notify, so that
// the peer cannot mistake the end for a regular one.
func Reset(conn net.Conn) {
	conn = UnwrapConn(conn)
	_ = SetLinger(conn, 0)
	_ = conn.Close()
}

// SetLinger sets what happens to unsent data when conn is closed, as
// [net.TCPConn.SetLinger] does. It returns [errors.ErrUnsupported] if conn cannot.
func SetLinger(conn net.Conn, seconds int) error {
	if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		return tcp.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}
