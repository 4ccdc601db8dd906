package upstream

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

const MaxResponseHeaderBytes = maxResponseHeaderBytes

// WithStallTimeout returns the configuration with another stallTimeout.
func (c Config) WithStallTimeout(d time.Duration) Config {
	c.stallTimeout = d
	return c
}

// WithMaxIdleConns returns the configuration with another maxIdleConns.
func (c Config) WithMaxIdleConns(n int) Config {
	c.maxIdleConns = n
	return c
}

// WithKeepAlive returns the configuration with another keepAlive.
func (c Config) WithKeepAlive(d time.Duration) Config {
	c.keepAlive = d
	return c
}

// AllowLoopback lets cross-origin redirects lead to loopback addresses too, where tests
// have their hosts.
func (u *Upstream) AllowLoopback() {
	u.crossOriginDialer.Control = func(network, address string, raw syscall.RawConn) error {
		if dialed, err := netip.ParseAddrPort(address); err == nil && dialed.Addr().IsLoopback() {
			return nil
		}
		return denyPrivateAddrs(network, address, raw)
	}
}

// SetCrossOriginResolver sets the resolver for the hosts of cross-origin redirects.
func (u *Upstream) SetCrossOriginResolver(resolver *net.Resolver) {
	u.crossOriginDialer.Resolver = resolver
}

// IdleConns returns the number of idle connections.
func (u *Upstream) IdleConns() int { return u.Stats().Idle }

// WindowGrowth returns by how many bytes the windows of all streams have grown.
func (u *Upstream) WindowGrowth() int64 { return u.http1.windowGrowth.Load() }

// NewNetDialer returns the TCP dialer of a configuration.
func NewNetDialer(config Config) *net.Dialer { return newNetDialer(config.withDefaults()) }

// AgeConns makes the HTTP/2 connections older.
func (u *Upstream) AgeConns(by time.Duration) {
	u.http2.mu.Lock()
	defer u.http2.mu.Unlock()
	for _, c := range u.http2.conns {
		c.mu.Lock()
		c.createdAt = c.createdAt.Add(-by)
		c.mu.Unlock()
	}
}

// SetStaleWindow sets how soon after a request its connection must end to be considered
// stale.
func (u *Upstream) SetStaleWindow(d time.Duration) { u.http1.staleWindow = d }
