package upstream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"syscall"
	"time"
)

var errHeaderTooLarge = errors.New("the response header is too large")

// conn is a connection that speaks HTTP/1.1, with TLS or without. One exchange
// at a time uses it.
type conn struct {
	net.Conn

	reader    *bufio.Reader
	allowance int64           // how many bytes may still be read
	raw       syscall.RawConn // nil if the connection has none
	born      time.Time
	idleSince time.Time
	used      bool // a request was answered on it before
}

func newConn(network net.Conn) *conn {
	c := &conn{Conn: network, allowance: math.MaxInt64, raw: rawConn(network), born: time.Now()}
	c.reader = bufio.NewReader(c)
	return c
}

// Read implements [io.Reader] for the connection's own reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.allowance <= 0 {
		return 0, errHeaderTooLarge
	}
	if int64(len(p)) > c.allowance {
		p = p[:c.allowance]
	}
	n, err := c.Conn.Read(p)
	c.allowance -= int64(n)
	return n, err
}

// isQuiet reports whether the peer has sent nothing while the connection was
// idle: neither its end, nor a word that no request asked for.
func (c *conn) isQuiet() bool {
	return c.reader.Buffered() == 0 && (c.raw == nil || isSilent(c.raw))
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
