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

// maxProxyAnswer bounds a proxy's answer to CONNECT, in bytes.
const maxProxyResponse = 64 << 10

// dialer makes connections to one host.
type dialer struct {
	address     string        // "host:port"
	tls         *tls.Config   // nil for plain HTTP
	timeout     time.Duration // of a TLS handshake, and of a proxy's answer
	dialNetwork func(ctx context.Context, network, address string) (net.Conn, error)
	proxy       *url.URL       // nil for none
	roots       *x509.CertPool // for the proxy; nil for the system's
	client      *http1Client
}

// dial makes a connection for HTTP/1.1. The error is the context's, or an
// [*Error].
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	network, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(network)
	c.untrack, c.writer.Timeout = d.client.trackConn(), d.client.stallTimeout
	return c, nil
}

// connect makes a connection on which HTTP can be spoken.
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

// reach makes a connection on which the host itself is spoken to, or the proxy
// that is sent requests to plain HTTP hosts.
func (d *dialer) dialTarget(ctx context.Context) (net.Conn, error) {
	if d.proxy == nil {
		return d.dialNetwork(ctx, "tcp", d.address)
	}
	if d.proxy.Scheme == "socks5" || d.proxy.Scheme == "socks5h" {
		return d.dialViaSOCKS(ctx)
	}
	network, err := d.dialViaHTTPProxy(ctx)
	if _, refused := errors.AsType[*proxyError](err); err != nil && !refused {
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
	by, err := proxy.SOCKS5("tcp", hostPort(d.proxy), auth, forwardDialer(d.dialNetwork))
	if err != nil {
		return nil, err
	}
	return by.(proxy.ContextDialer).DialContext(ctx, "tcp", d.address) // it is one since it was made so
}

// forward is a dial function as package proxy takes it.
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
		return network, nil // requests go to the proxy in absolute form
	}
	if err := d.openTunnel(ctx, network); err != nil {
		_ = network.Close()
		return nil, err
	}
	return network, nil
}

// tunnel asks a proxy for a tunnel to the host (RFC 9110 §9.3.6).
func (d *dialer) openTunnel(ctx context.Context, network net.Conn) error {
	answer := newConn(network)
	answer.readLimit = maxProxyResponse
	deadline := time.Now().Add(d.timeout)
	if err := errors.Join(answer.SetReadDeadline(deadline), network.SetWriteDeadline(deadline)); err != nil {
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
	reader := bufio.NewReader(answer)
	resp, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // the tunnel is what would be its body
	switch {
	case err != nil:
		return sanitizeParseError(err)
	case resp.StatusCode != http.StatusOK:
		return &proxyError{resp.StatusCode}
	case reader.Buffered() > 0:
		return errors.New("it sent more than an answer")
	}
	return network.SetDeadline(time.Time{})
}

// proxyError is a proxy's refusal of a tunnel.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy on the way answered %d %s", e.status, http.StatusText(e.status))
}

// reasonless keeps of an error of the parser, which quotes what was received,
// only that there is one.
func sanitizeParseError(err error) error {
	if isDisconnect(err) {
		return err
	}
	return errors.New("its answer is not valid HTTP")
}

// secure makes a TLS session on a connection, which it closes if it can't.
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

// proxyCredentials is the value of Proxy-Authorization, empty for none.
func proxyCredentials(proxy *url.URL) string {
	if proxy == nil || proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
}

// addressOf is the "host:port" of a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
