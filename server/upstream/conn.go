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

// conn is a connection that speaks HTTP/1.1, with TLS or without. One exchange
// at a time uses it.
type conn struct {
	net.Conn

	reader    *bufio.Reader
	deadline  deadline.Reader
	writer    writer
	allowance int64           // how many bytes may still be read
	broken    error           // what ended reading
	raw       syscall.RawConn // nil if the connection has none
	silence   silence
	born      time.Time
	idleSince time.Time
	used      bool   // a request was answered on it before
	leave     func() // takes it from those that are open; nil if it isn't counted
}

func newConn(network net.Conn) *conn {
	c := &conn{Conn: network, allowance: math.MaxInt64, raw: rawConn(network), born: time.Now()}
	c.deadline.Conn, c.writer.conn = network, network
	c.reader = bufio.NewReader(c)
	return c
}

// Read implements [io.Reader] for the connection's own reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.allowance <= 0 {
		c.broken = errHeaderTooLarge
		return 0, c.broken
	}
	if int64(len(p)) > c.allowance {
		p = p[:c.allowance]
	}
	// The kernel tells of a reset once, and of an end from then on.
	if c.broken != nil && !errors.Is(c.broken, os.ErrDeadlineExceeded) {
		return 0, c.broken
	}
	n, err := c.deadline.Read(p)
	c.allowance -= int64(n)
	c.broken = err
	return n, err
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.deadline.Set(t) }

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) { return c.writer.Write(p) }

// Close implements [net.Conn].
func (c *conn) Close() error {
	if c.leave != nil {
		c.leave()
	}
	return c.Conn.Close()
}

// isQuiet reports whether the peer has sent nothing while the connection was
// idle: neither its end, nor a word that no request asked for.
func (c *conn) isQuiet() bool {
	return c.reader.Buffered() == 0 && (c.raw == nil || c.silence.of(c.raw)) && !c.holdsRecord()
}

// speaksFirst reports whether the peer of a new connection has said something
// already. In TLS that is a record which came together with the handshake: on
// the socket there may be tickets, which say nothing.
func (c *conn) speaksFirst() bool {
	if _, ok := c.Conn.(*tls.Conn); ok {
		return c.holdsRecord()
	}
	return c.raw != nil && !c.silence.of(c.raw)
}

// holdsRecord reports whether TLS has received something that nobody has read: a
// record that came together with the last answer's. It doesn't touch the socket.
func (c *conn) holdsRecord() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	// With a deadline that has passed only what is there already can be read.
	var next [1]byte
	if c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return true
	}
	_, err := secured.Read(next[:])
	return !errors.Is(err, os.ErrDeadlineExceeded) || c.SetReadDeadline(time.Time{}) != nil
}

// rawConn returns what is beneath a network connection, nil if there is nothing.
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
