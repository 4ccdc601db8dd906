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

// maxProxyResponse bounds the response of a proxy to CONNECT, in bytes.
const maxProxyResponse = 64 << 10

// dialer makes connections to one host.
type dialer struct {
	address     string        // "host:port"
	tls         *tls.Config   // nil for plain HTTP
	timeout     time.Duration // of a TLS handshake, and of the response of a proxy
	dialNetwork func(ctx context.Context, network, address string) (net.Conn, error)
	proxy       *url.URL       // nil for none
	roots       *x509.CertPool // for the proxy; nil for the system's
	client      *http1Client
}

// dial makes an HTTP/1.1 connection. The error is ctx's or an [*Error].
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	network, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(network)
	c.untrack, c.writer.Timeout = d.client.trackConn(), d.client.stallTimeout
	return c, nil
}

// connect makes a connection that is ready for HTTP.
func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	network, err := d.dialTarget(ctx)
	kind := KindConnect
	if err == nil && d.tls != nil {
		network, err = d.handshake(ctx, network, d.tls)
		kind = KindTLS
	}
	switch {
	case err == nil:
		return network, nil
	case ctx.Err() != nil:
		return nil, contextError(ctx)
	default:
		failed := d.client.newError(kind, errorDetail(err))
		if errors.Is(err, errNotPublic) {
			failed.cause = errNotPublic
		}
		return nil, failed
	}
}

// dialTarget connects to the host, or to the proxy that receives the requests for a plain
// HTTP host.
func (d *dialer) dialTarget(ctx context.Context) (net.Conn, error) {
	if d.proxy == nil {
		return d.dialNetwork(ctx, "tcp", d.address)
	}
	if d.proxy.Scheme == "socks5" || d.proxy.Scheme == "socks5h" {
		return d.dialViaSOCKS(ctx)
	}
	network, err := d.dialViaHTTPProxy(ctx)
	if _, rejected := errors.AsType[*proxyError](err); err != nil && !rejected {
		err = &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	return network, err
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
	return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", d.address) // SOCKS5 always returns one
}

// forwardDialer adapts a dial function to package proxy.
type forwardDialer func(ctx context.Context, network, address string) (net.Conn, error)

func (f forwardDialer) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

func (f forwardDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

func (d *dialer) dialViaHTTPProxy(ctx context.Context) (net.Conn, error) {
	network, err := d.dialNetwork(ctx, "tcp", hostPort(d.proxy))
	if err != nil {
		return nil, err
	}
	if d.proxy.Scheme == "https" {
		config := &tls.Config{ServerName: d.proxy.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: d.roots}
		if network, err = d.handshake(ctx, network, config); err != nil {
			return nil, err
		}
	}
	if d.tls == nil {
		return network, nil // requests to the proxy have absolute form
	}
	if err := d.openTunnel(ctx, network); err != nil {
		_ = network.Close()
		return nil, err
	}
	return network, nil
}

// openTunnel requests a tunnel to the host from a proxy (RFC 9110 §9.3.6).
func (d *dialer) openTunnel(ctx context.Context, network net.Conn) error {
	conn := newConn(network)
	conn.readLimit = maxProxyResponse
	deadline := time.Now().Add(d.timeout)
	if err := errors.Join(conn.SetReadDeadline(deadline), network.SetWriteDeadline(deadline)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = network.Close() })()
	request := "CONNECT " + d.address + " HTTP/1.1\r\nHost: " + d.address + "\r\n"
	if credentials := proxyCredentials(d.proxy); credentials != "" {
		request += "Proxy-Authorization: " + credentials + "\r\n"
	}
	if _, err := network.Write([]byte(request + "\r\n")); err != nil {
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
	return network.SetDeadline(time.Time{})
}

// proxyError is the error of a proxy that rejected a tunnel.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("proxy responded with %d %s", e.status, http.StatusText(e.status))
}

// sanitizeParseError replaces an error of the parser, which quotes received data.
func sanitizeParseError(err error) error {
	if isDisconnect(err) {
		return err
	}
	return errors.New("invalid HTTP response")
}

// handshake performs a TLS handshake. It closes the connection on failure.
func (d *dialer) handshake(ctx context.Context, network net.Conn, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	secured := tls.Client(network, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = network.Close()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, errHandshakeTimeout
		}
		return nil, err
	}
	return secured, nil
}

var errHandshakeTimeout = errors.New("timeout")

// proxyCredentials returns the value of Proxy-Authorization, or "" for none.
func proxyCredentials(proxy *url.URL) string {
	if proxy == nil || proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
}

// hostPort returns the "host:port" of a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
