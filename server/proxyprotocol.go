package server

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/openai-connect/openai-connect/server/clientaddr"
)

// withProxyProtocol returns a listener whose connections begin with a header of the
// PROXY protocol, v1 or v2, if they come from a trusted proxy: one without is an
// error, as a client could send it otherwise
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2). From
// others a header is none, and so no request either. The header is read by whoever
// first reads, or asks for an address, and not while connections are accepted.
func withProxyProtocol(connections net.Listener, proxies clientaddr.Proxies, timeout time.Duration) net.Listener {
	return &proxyListener{&proxyproto.Listener{
		Listener:          connections,
		ReadHeaderTimeout: timeout,
		ConnPolicy: func(peer proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if address, err := netip.ParseAddrPort(peer.Upstream.String()); err == nil && proxies.Trusts(address.Addr()) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}}
}

type proxyListener struct{ *proxyproto.Listener }

// Accept implements [net.Listener].
func (l *proxyListener) Accept() (net.Conn, error) {
	network, err := l.Listener.Accept()
	if proxied, ok := network.(*proxyproto.Conn); ok {
		return &proxiedConn{proxied}, nil
	}
	return network, err
}

// proxiedConn is a connection through a proxy.
type proxiedConn struct{ *proxyproto.Conn }

// NetConn returns the connection beneath.
func (c *proxiedConn) NetConn() net.Conn { return c.Raw() }

// CloseWrite ends the server's side alone.
func (c *proxiedConn) CloseWrite() error {
	half, ok := c.Raw().(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
