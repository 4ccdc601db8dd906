package httpserver

import (
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// withProxyProtocol returns a listener whose connections from trusted proxies must
// begin with a PROXY protocol header, v1 or v2. A connection without one is an error,
// because a client could otherwise send the header itself
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2). From other
// addresses the header is not recognized, and is an invalid request. The header is read
// on the first Read or the first use of an address, not in Accept.
func withProxyProtocol(listener net.Listener, proxies clientaddr.Proxies, timeout time.Duration) net.Listener {
	return &proxyListener{&proxyproto.Listener{
		Listener:          listener,
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

// proxiedConn is a connection from a proxy.
type proxiedConn struct{ *proxyproto.Conn }

// NetConn returns the underlying connection.
func (c *proxiedConn) NetConn() net.Conn { return c.Raw() }

// CloseWrite closes the sending direction.
func (c *proxiedConn) CloseWrite() error { return httpx.CloseWrite(c.Raw()) }
