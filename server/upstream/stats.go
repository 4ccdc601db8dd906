package upstream

import "sync"

// Stats counts the open connections to the proxied host. Connections of cross-origin
// redirects are not included.
type Stats struct {
	// Active counts connections with a request or a WebSocket, Idle those without.
	// HTTP/2 connections, which carry any number of requests, always count as active.
	Active, Idle int
}

// Stats returns the number of open connections.
func (u *Upstream) Stats() Stats {
	u.http1.pool.mu.Lock()
	idle := len(u.http1.pool.idle)
	u.http1.pool.mu.Unlock()
	return Stats{Active: max(0, int(u.http1.openConns.Load())-idle), Idle: idle}
}

// trackConn counts an open connection until untrack is called.
func (c *http1Client) trackConn() (untrack func()) {
	c.openConns.Add(1)
	return sync.OnceFunc(func() { c.openConns.Add(-1) })
}
