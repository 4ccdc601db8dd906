package upstream

import (
	"context"
	"net"
	"sync"
)

// Stats are the connections to the proxied host that are open. Those to hosts
// that redirects lead to aren't among them.
type Stats struct {
	// Active are those that a request or a WebSocket is using, and Idle those
	// that wait for one. Over HTTP/2, where one may have many requests and none,
	// all count as active.
	Active, Idle int
}

// Stats returns how many connections are open now.
func (u *Upstream) Stats() Stats {
	u.host.pool.mu.Lock()
	idle := len(u.host.pool.idle)
	u.host.pool.mu.Unlock()
	return Stats{Active: max(0, int(u.host.open.Load())-idle), Idle: idle}
}

// enter counts a connection among the open ones, until the function that it
// returns is called.
func (h *host) enter() (leave func()) {
	h.open.Add(1)
	return sync.OnceFunc(func() { h.open.Add(-1) })
}

// counted returns what dials connections that count until they are closed.
func counted(h *host, dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: dialed, leave: h.enter()}, nil
	}
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// countedConn is a connection beneath TLS that is counted.
type countedConn struct {
	net.Conn

	leave func()
}

// Close implements [net.Conn].
func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
