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

// conn is an HTTP/1.1 connection, with or without TLS. It serves one exchange at once.
type conn struct {
	net.Conn

	reader    *bufio.Reader
	deadline  deadline.Reader
	writer    deadline.Writer
	readLimit int64           // how many more bytes may be read
	readErr   error           // the last error of reading
	raw       syscall.RawConn // nil if the connection has none
	probe     connProbe
	createdAt time.Time
	idleSince time.Time
	reused    bool   // it has served a request before
	untrack   func() // see http1Client.trackConn; nil if the connection is not counted
}

func newConn(network net.Conn) *conn {
	c := &conn{Conn: network, readLimit: math.MaxInt64, raw: rawConn(network), createdAt: time.Now()}
	c.deadline.Conn, c.writer.Conn = network, network
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
	// The kernel reports a reset once, and the end of the connection afterwards.
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

// isReusable reports whether the peer of an idle connection has neither closed it nor
// sent anything unsolicited.
func (c *conn) isReusable() bool {
	return c.reader.Buffered() == 0 && (c.raw == nil || c.probe.isIdle(c.raw)) && !c.hasBufferedRecord()
}

// hasUnsolicitedData reports whether the peer of a new connection has sent data. With TLS
// that is a record that arrived with the handshake. Data on the socket may be session
// tickets, which don't count.
func (c *conn) hasUnsolicitedData() bool {
	if _, ok := c.Conn.(*tls.Conn); ok {
		return c.hasBufferedRecord()
	}
	return c.raw != nil && !c.probe.isIdle(c.raw)
}

// hasBufferedRecord reports whether the TLS layer holds an unread record that arrived with
// earlier data. It doesn't read from the socket.
func (c *conn) hasBufferedRecord() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	// After the deadline only buffered data can be read.
	var next [1]byte
	if c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return true
	}
	_, err := secured.Read(next[:])
	return !errors.Is(err, os.ErrDeadlineExceeded) || c.SetReadDeadline(time.Time{}) != nil
}

// rawConn returns the socket of a network connection, nil if it has none.
func rawConn(network net.Conn) syscall.RawConn {
	for {
		secured, ok := network.(*tls.Conn)
		if !ok {
			break
		}
		network = secured.NetConn()
	}
	system, ok := network.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
