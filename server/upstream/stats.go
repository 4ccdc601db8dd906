package upstream

import "sync"

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
