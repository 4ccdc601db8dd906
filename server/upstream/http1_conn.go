package upstream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
)

var errHeaderTooLarge = errors.New("the response header is too large")

// conn is an HTTP/1.1 connection, with or without TLS. It serves one exchange at a time.
type conn struct {
	net.Conn

	reader    *bufio.Reader
	deadline  deadline.Reader
	writer    deadline.Writer
	readLimit int64           // the number of bytes that may still be read
	readErr   error           // the last error of Read
	raw       syscall.RawConn // nil if the connection has no socket
	probe     connProbe
	createdAt time.Time
	idleSince time.Time
	reused    bool   // the connection has served a request
	untrack   func() // see http1Client.trackConn; nil if the connection is not counted
}

func newConn(netConn net.Conn) *conn {
	c := &conn{Conn: netConn, readLimit: math.MaxInt64, raw: rawConn(netConn), createdAt: time.Now()}
	c.deadline.Conn, c.writer.Conn = netConn, netConn
	c.reader = bufio.NewReader(c)
	return c
}

// Read implements [io.Reader] for c.reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.readLimit <= 0 {
		c.readErr = errHeaderTooLarge
		return 0, c.readErr
	}
	if int64(len(p)) > c.readLimit {
		p = p[:c.readLimit]
	}
	// The kernel reports a reset only once. Later reads would return EOF.
	if c.readErr != nil && !errors.Is(c.readErr, os.ErrDeadlineExceeded) {
		return 0, c.readErr
	}
	n, err := c.deadline.Read(p)
	c.readLimit -= int64(n)
	c.readErr = err
	return n, err
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.deadline.Set(t) }

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) { return c.writer.Write(p) }

// Close implements [net.Conn].
func (c *conn) Close() error {
	if c.untrack != nil {
		c.untrack()
	}
	return c.Conn.Close()
}

// isReusable reports whether an idle connection can be used for another request. It can't
// if the peer has closed it or has sent unsolicited data.
func (c *conn) isReusable() bool {
	return c.reader.Buffered() == 0 && (c.raw == nil || c.probe.isIdle(c.raw)) && !c.hasBufferedRecord()
}

// hasUnsolicitedData reports whether the peer of a new connection has sent data before the
// first request. With TLS, it only checks for a record that arrived with the handshake,
// because unread data of the socket may be session tickets.
func (c *conn) hasUnsolicitedData() bool {
	if _, ok := c.Conn.(*tls.Conn); ok {
		return c.hasBufferedRecord()
	}
	return c.raw != nil && !c.probe.isIdle(c.raw)
}

// hasBufferedRecord reports whether the TLS connection has buffered a record that has not
// been read. It doesn't read from the socket.
func (c *conn) hasBufferedRecord() bool {
	tlsConn, ok := c.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	// After the deadline, Read can only return buffered data.
	var next [1]byte
	if c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return true
	}
	_, err := tlsConn.Read(next[:])
	return !errors.Is(err, os.ErrDeadlineExceeded) || c.SetReadDeadline(time.Time{}) != nil
}

// rawConn returns the socket of a connection, or nil for other connections.
func rawConn(netConn net.Conn) syscall.RawConn {
	for {
		tlsConn, ok := netConn.(*tls.Conn)
		if !ok {
			break
		}
		netConn = tlsConn.NetConn()
	}
	socket, ok := netConn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
