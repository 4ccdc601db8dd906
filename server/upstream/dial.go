package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"
)

// maxProxyResponse is the maximum size of a proxy's response to CONNECT in bytes.
const maxProxyResponse = 64 << 10

// dialer opens connections to one host.
type dialer struct {
	address     string        // "host:port"
	tls         *tls.Config   // nil for plain HTTP
	timeout     time.Duration // of a TLS handshake, and of the setup of a tunnel through a proxy
	dialNetwork func(ctx context.Context, network, address string) (net.Conn, error)
	proxy       *url.URL       // nil for none
	roots       *x509.CertPool // for the TLS connection to the proxy; nil for the system's
	client      *http1Client
}

// dial opens an HTTP/1.1 connection. The error is an [*Error], or contextError(ctx) if ctx
// is done.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	netConn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(netConn)
	c.untrack, c.writer.Timeout = d.client.trackConn(), d.client.stallTimeout
	return c, nil
}

// connect opens a connection that is ready for HTTP. Its errors are the same as those of
// dial.
func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	netConn, err := d.dialTarget(ctx)
	kind := KindConnect
	if err == nil && d.tls != nil {
		netConn, err = d.handshake(ctx, netConn, d.tls)
		kind = KindTLS
	}
	switch {
	case err == nil:
		return netConn, nil
	case ctx.Err() != nil:
		return nil, contextError(ctx)
	default:
		connectErr := d.client.newError(kind, errorDetail(err))
		if errors.Is(err, errNotPublic) {
			connectErr.cause = errNotPublic
		}
		return nil, connectErr
	}
}

// dialTarget opens a connection to the host, through a proxy if one is configured. For a
// plain HTTP host, the connection to an HTTP proxy is returned, which forwards each
// request.
func (d *dialer) dialTarget(ctx context.Context) (net.Conn, error) {
	if d.proxy == nil {
		return d.dialNetwork(ctx, "tcp", d.address)
	}
	if d.proxy.Scheme == "socks5" || d.proxy.Scheme == "socks5h" {
		return d.dialViaSOCKS(ctx)
	}
	netConn, err := d.dialViaHTTPProxy(ctx)
	if _, rejected := errors.AsType[*proxyError](err); err != nil && !rejected {
		err = &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	return netConn, err
}

func (d *dialer) dialViaSOCKS(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var auth *proxy.Auth
	if user := d.proxy.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", hostPort(d.proxy), auth, forwardDialer(d.dialNetwork))
	if err != nil {
		return nil, err
	}
	return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", d.address) // SOCKS5 always returns a ContextDialer
}

// forwardDialer adapts a dial function to [proxy.Dialer].
type forwardDialer func(ctx context.Context, network, address string) (net.Conn, error)

func (f forwardDialer) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

func (f forwardDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func (d *dialer) dialViaHTTPProxy(ctx context.Context) (net.Conn, error) {
	netConn, err := d.dialNetwork(ctx, "tcp", hostPort(d.proxy))
	if err != nil {
		return nil, err
	}
	if d.proxy.Scheme == "https" {
		config := &tls.Config{ServerName: d.proxy.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: d.roots}
		if netConn, err = d.handshake(ctx, netConn, config); err != nil {
			return nil, err
		}
	}
	if d.tls == nil {
		return netConn, nil // requests are sent to the proxy in absolute form
	}
	if err := d.openTunnel(ctx, netConn); err != nil {
		_ = netConn.Close()
		return nil, err
	}
	return netConn, nil
}

// openTunnel sends a CONNECT request for the host to a proxy (RFC 9110 §9.3.6).
func (d *dialer) openTunnel(ctx context.Context, netConn net.Conn) error {
	conn := newConn(netConn)
	conn.readLimit = maxProxyResponse
	deadline := time.Now().Add(d.timeout)
	if err := errors.Join(conn.SetReadDeadline(deadline), netConn.SetWriteDeadline(deadline)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = netConn.Close() })()
	request := "CONNECT " + d.address + " HTTP/1.1\r\nHost: " + d.address + "\r\n"
	if credentials := proxyCredentials(d.proxy); credentials != "" {
		request += "Proxy-Authorization: " + credentials + "\r\n"
	}
	if _, err := netConn.Write([]byte(request + "\r\n")); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the tunnel follows instead of a body
	switch {
	case err != nil:
		return sanitizeParseError(err)
	case resp.StatusCode != http.StatusOK:
		return &proxyError{resp.StatusCode}
	case reader.Buffered() > 0:
		return errors.New("unexpected data after the response")
	}
	return netConn.SetDeadline(time.Time{})
}

// proxyError is the error for a proxy that rejected a CONNECT request.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("proxy responded with %d %s", e.status, http.StatusText(e.status))
}

// sanitizeParseError replaces errors of the HTTP parser, because they quote received data.
func sanitizeParseError(err error) error {
	if isDisconnect(err) {
		return err
	}
	return errors.New("invalid HTTP response")
}

// handshake performs a TLS handshake. It closes the connection on failure.
func (d *dialer) handshake(ctx context.Context, netConn net.Conn, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	tlsConn := tls.Client(netConn, config)
	if err := tlsConn.HandshakeContext(ctx); err != nil {
		_ = netConn.Close()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errHandshakeTimeout
		}
		return nil, err
	}
	return tlsConn, nil
}

var errHandshakeTimeout = errors.New("timeout")

// proxyCredentials returns the value of Proxy-Authorization, or "" if the proxy URL has no
// credentials.
func proxyCredentials(proxy *url.URL) string {
	if proxy == nil || proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
}

// hostPort returns the "host:port" of a URL, with the default port of its scheme.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
