// Package upstream is the one way to the proxied host: every request that
// leaves the server, typed or raw, is sent here, and nowhere else is a
// connection to that host made.
//
// It knows HTTP and nothing above it. A request goes out as it was given: no
// cookie is kept, no body decompressed, no field added that HTTP does not demand.
// Redirects are followed by the rules of [Upstream.Send].
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Defaults of [Config].
const (
	DefaultBaseURL                = "https://api.openai.com/v1"
	DefaultConnectTimeout         = 10 * time.Second
	DefaultResponseHeaderTimeout  = 30 * time.Minute
	DefaultStallTimeout           = 2 * time.Minute
	DefaultMaxResponseHeaderBytes = 1 << 20
	DefaultMaxIdleConns           = 1024
	DefaultKeepAlive              = 15 * time.Second
)

const (
	// expectContinueTimeout is how long a client's "Expect: 100-continue"
	// holds back the body if the upstream says nothing (RFC 9110 §10.1.1
	// tells clients not to wait indefinitely).
	expectContinueTimeout = time.Second

	// keepAliveProbes is how many TCP probes go unanswered before the kernel
	// gives the connection up.
	keepAliveProbes = 4
)

// Config says where the upstream is and how long to be patient with it. The
// zero value is the OpenAI API with the defaults named at each field.
type Config struct {
	// BaseURL is the proxied host, as [ParseBaseURL] takes it. Empty means
	// [DefaultBaseURL].
	BaseURL string

	// ConnectTimeout bounds the way to a connection: looking up the name and
	// connecting, and after that once more the TLS handshake. Zero means
	// [DefaultConnectTimeout].
	ConnectTimeout time.Duration

	// ResponseHeaderTimeout bounds the wait for response headers, counted from
	// the last byte of the request. A reasoning model may think for many
	// minutes before it answers. Nothing bounds the body but the context that
	// is given to Send. Zero means [DefaultResponseHeaderTimeout].
	ResponseHeaderTimeout time.Duration

	// StallTimeout bounds the time for which the upstream may take nothing of a
	// request that is ready for it; the time that a body takes to come doesn't
	// count. Less than a piece of 32 KiB, or than a body that is sent with its head,
	// is nothing. Over HTTP/2 the connection must take something, and the windows of
	// the request must open. Zero means [DefaultStallTimeout].
	StallTimeout time.Duration

	// MaxResponseHeaderBytes bounds the size of all fields of a response.
	// Zero means [DefaultMaxResponseHeaderBytes].
	MaxResponseHeaderBytes int64

	// MaxIdleConns bounds the connections that are kept open with nothing to
	// do; the number in use is not bounded. Zero means [DefaultMaxIdleConns].
	MaxIdleConns int

	// KeepAlive is how long a connection may be silent before its peer is
	// asked whether it is still there: by a ping over HTTP/2, which must be
	// answered within the same time, and by TCP keep-alive probes. It finds
	// dead peers beneath streams that have nothing to say. Zero means
	// [DefaultKeepAlive].
	KeepAlive time.Duration

	// HTTP2 has HTTP/2 spoken to an https upstream that knows it, where one
	// connection carries many requests. It pays with many open streams, which then
	// take about half the memory. A short request costs about the same as over
	// HTTP/1.1, which is the default, and which is spoken to WebSockets and to other
	// hosts that redirects lead to in any case.
	//
	// A call waits for no more than three connections, and each connection has to
	// begin with its settings within ConnectTimeout.
	HTTP2 bool

	// NoRedirects has no redirect followed: each is a response like any other.
	NoRedirects bool

	// Proxy is the proxy on the way to the upstream, as [ParseProxy] takes it.
	// Everything goes by it, wherever the upstream is, and names are looked up
	// there. [NoProxy] means none. Empty means what the environment says, as
	// [New] reads it.
	Proxy string

	// RootCAs verify the certificates of the upstream, of hosts that it
	// redirects to, and of a proxy. Nil means the system's. There is no way to
	// turn verification off.
	RootCAs *x509.CertPool

	// DialContext connects to a "host:port". It is there for upstreams that
	// are not reached by TCP, such as one inside the process: name it by a
	// loopback address, so that no proxy is put before it. It bounds its own
	// time, and redirects to other hosts are not followed. Nil means TCP, by
	// Happy Eyeballs (RFC 8305) where the name has several addresses.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Upstream sends requests to the proxied host. It is safe for concurrent use.
type Upstream struct {
	base     *url.URL
	basePath string // base's path as it is written, without a trailing slash
	host     *host
	http2    *http2      // nil unless HTTP/2 is spoken
	abroad   *net.Dialer // for redirects to other hosts; nil if they aren't followed
	config   Config
}

// New makes an Upstream. It connects to nothing yet. Unless there is
// [Config.Proxy], the environment's HTTPS_PROXY, HTTP_PROXY and NO_PROXY are
// read here (and once more for redirects to other hosts), with the meaning that
// [http.ProxyFromEnvironment] gives them: an upstream on a loopback address is
// never reached through a proxy.
//
// An error says which part of config is wrong.
func New(config Config) (*Upstream, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultBaseURL
	}
	base, err := ParseBaseURL(config.BaseURL)
	if err != nil {
		return nil, err
	}
	for _, limit := range []struct {
		name     string
		negative bool
	}{
		{"ConnectTimeout", config.ConnectTimeout < 0},
		{"ResponseHeaderTimeout", config.ResponseHeaderTimeout < 0},
		{"StallTimeout", config.StallTimeout < 0},
		{"MaxResponseHeaderBytes", config.MaxResponseHeaderBytes < 0},
		{"MaxIdleConns", config.MaxIdleConns < 0},
		{"KeepAlive", config.KeepAlive < 0},
	} {
		if limit.negative {
			return nil, fmt.Errorf("upstream: %s is negative: give a positive value, or zero for the default", limit.name)
		}
	}
	proxy, err := proxyFor(base, config.Proxy)
	if err != nil {
		return nil, err
	}
	u := &Upstream{base: base, basePath: base.EscapedPath(), config: config}
	if config.DialContext == nil {
		u.abroad = newNetDialer(config)
		u.abroad.Control = refuseLocal
	}
	d := newDialer(base, config, proxy)
	u.host = d.host
	if config.HTTP2 && base.Scheme == "https" {
		u.http2 = newHTTP2(u.host, d, cmp.Or(config.KeepAlive, DefaultKeepAlive), !config.NoRedirects)
	}
	return u, nil
}

// newDialer returns what makes connections to the host of a URL, through a
// proxy unless that is nil.
func newDialer(base *url.URL, config Config, proxy *url.URL) *dialer {
	connectTimeout := cmp.Or(config.ConnectTimeout, DefaultConnectTimeout)
	h := &host{
		authority:      base.Host,
		closingTime:    closingTime,
		headerTimeout:  cmp.Or(config.ResponseHeaderTimeout, DefaultResponseHeaderTimeout),
		stallTimeout:   cmp.Or(config.StallTimeout, DefaultStallTimeout),
		maxHeaderBytes: cmp.Or(config.MaxResponseHeaderBytes, DefaultMaxResponseHeaderBytes),
	}
	d := &dialer{
		host:    h,
		address: addressOf(base),
		timeout: connectTimeout,
		network: config.DialContext,
		proxy:   proxy,
		roots:   config.RootCAs,
	}
	if d.network == nil {
		d.network = newNetDialer(config).DialContext
	}
	if base.Scheme == "https" {
		d.tls = &tls.Config{
			ServerName:         base.Hostname(),
			RootCAs:            config.RootCAs,
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		}
	} else if proxy != nil && (proxy.Scheme == "http" || proxy.Scheme == "https") {
		h.prefix = "http://" + base.Host
		h.credentials = proxyCredentials(proxy)
	}
	h.pool = pool{dial: d.dial, maxIdle: cmp.Or(config.MaxIdleConns, DefaultMaxIdleConns)}
	return d
}

// newNetDialer dials with Happy Eyeballs, and finds peers that vanished.
func newNetDialer(config Config) *net.Dialer {
	keepAlive := cmp.Or(config.KeepAlive, DefaultKeepAlive)
	return &net.Dialer{
		Timeout: cmp.Or(config.ConnectTimeout, DefaultConnectTimeout),
		KeepAliveConfig: net.KeepAliveConfig{
			Enable:   true,
			Idle:     keepAlive,
			Interval: keepAlive,
			Count:    keepAliveProbes,
		},
	}
}

// BaseURL returns the proxied host's base URL in full, "https://api.openai.com/v1".
func (u *Upstream) BaseURL() string {
	return u.base.String()
}

// Ready returns why the upstream can't be sent requests, nil if nothing is known to be
// wrong with it. Over HTTP/2 that is so after three connections that violated the
// protocol or fell silent, if no request got through since. It is forgotten after 30
// seconds, so that the upstream is tried again.
func (u *Upstream) Ready() error {
	if u.http2 == nil {
		return nil
	}
	return u.http2.ready()
}

// CloseIdleConnections closes the connections that no request is using.
func (u *Upstream) CloseIdleConnections() {
	u.host.pool.closeIdle()
	if u.http2 != nil {
		u.http2.closeIdle()
	}
}
