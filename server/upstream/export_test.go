package upstream

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

// AllowLoopback lets redirects to other hosts lead to loopback addresses too,
// where tests have their hosts.
func (u *Upstream) AllowLoopback() {
	u.abroad.Control = func(network, address string, raw syscall.RawConn) error {
		if dialled, err := netip.ParseAddrPort(address); err == nil && dialled.Addr().IsLoopback() {
			return nil
		}
		return refuseLocal(network, address, raw)
	}
}

// LookUpAbroad has the names of other hosts looked up by resolver.
func (u *Upstream) LookUpAbroad(resolver *net.Resolver) { u.abroad.Resolver = resolver }

// IdleConns is how many connections are kept.
func (u *Upstream) IdleConns() int {
	u.host.pool.mu.Lock()
	defer u.host.pool.mu.Unlock()
	return len(u.host.pool.idle)
}

// WindowGrowth is by how much the windows of all streams have grown.
func (u *Upstream) WindowGrowth() int64 { return u.host.growth.Load() }

// NewNetDialer is what TCP is dialled by.
var NewNetDialer = newNetDialer

// Age makes the connections over HTTP/2 older.
func (u *Upstream) Age(by time.Duration) {
	u.http2.mu.Lock()
	defer u.http2.mu.Unlock()
	for _, c := range u.http2.conns {
		c.mu.Lock()
		c.born = c.born.Add(-by)
		c.mu.Unlock()
	}
}

// ClosingTime sets how long after a request its connection may end for that to
// mean that it had been closing before.
func (u *Upstream) ClosingTime(d time.Duration) { u.host.closingTime = d }
