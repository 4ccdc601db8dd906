// Package upstream is the HTTP client for the proxied host. It sends every
// request to the upstream, typed or raw.
//
// The client sends a request as given: it stores no cookies, decompresses no bodies and
// adds no headers that HTTP doesn't require. [Upstream.Send] documents redirects.
//
// # The HTTP/1.1 exchange
//
// An exchange is one request and its response on one connection:
//
//	small body from a reader       any other request
//	           |                           |
//	           v      body complete        v
//	       buffering ----------------> connecting <---------------------+
//	           |                           |                            |
//	           | smallBodyWait             | connection                 |
//	           v                           v                            |
//	   connecting while the ----------> sending --------------------+   |
//	     body is buffered                  |                        |   |
//	                                       | request sent           |   |
//	                                       v                        v   |
//	                                    waiting ----> stale reused connection,
//	                                       |          request can be sent again: once
//	               final header            |
//	          (also from sending)          +----> upgraded (101)
//	                                       v
//	                                    reading
//	                                       |
//	                                       | end of body, error, Close, end of ctx
//	                                       v
//	                                     ended
//
// Interim responses (1xx) change no state. When the exchange ends, its connection returns
// to the pool if request and response are complete, and is closed otherwise. An error, or
// the end of ctx, leads from every state to ended.
//
// Send runs the exchange on the caller's goroutine. Two things need another goroutine:
//
//   - A body that is sent while the response may already arrive has an upload.
//   - A small body that takes longer than smallBodyWait occupies the caller's goroutine,
//     so that the exchange starts without it, on the timer's goroutine, with an upload of
//     the buffer. If it ends in an error or a status of 400 or above, the rest of the body
//     is canceled ([Request.CancelBody]) and Send returns early. Otherwise Send returns when
//     the body is complete.
//
// # The HTTP/2 exchange
//
// An exchange is one stream. The connection's reading goroutine moves it from state to
// state; request and response end independently:
//
//	request:   header queued --> uploading, as windows allow --> sent
//	                                 |
//	                                 | final status of 300 or above, end of stream
//	                                 +--> unwanted: the upload stops
//
//	response:  waiting for the header --> reading --> complete
//	                 |                       |
//	                 | reset, GOAWAY, protocol violation, Close, end of ctx
//	                 +-----------------------+--> failed
//
// The stream is closed when both sides have ended, and reset when one of them ends the
// exchange before. A request that the upstream has certainly not processed is sent again
// on another stream or connection.
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
	DefaultBaseURL               = "https://api.openai.com/v1"
	DefaultConnectTimeout        = 10 * time.Second
	DefaultResponseHeaderTimeout = 30 * time.Minute
)

const (
	// stallTimeout bounds the time in which the upstream reads nothing of a request
	// that is ready to be sent. Time spent waiting for the request's body doesn't count.
	// The unit is a write of up to 32 KiB, or of a header with a small body. Over HTTP/2
	// the connection must accept a write, and the windows of the stream must open.
	stallTimeout = 2 * time.Minute

	// maxResponseHeaderBytes bounds the size of all headers of a response.
	maxResponseHeaderBytes = 1 << 20

	// maxIdleConns bounds the number of idle connections. The number of connections in
	// use is not bounded.
	maxIdleConns = 1024

	// keepAlive is how long a connection may be silent before it is probed: by a PING
	// over HTTP/2, which must be acknowledged within the same time, and by TCP keep-alive
	// probes. The probes find dead peers of silent streams.
	keepAlive = 15 * time.Second

	// keepAliveProbes is the number of unacknowledged TCP probes after which the kernel
	// closes a connection.
	keepAliveProbes = 4

	// expectContinueTimeout is how long a client's "Expect: 100-continue" holds back the
	// body if the upstream sends nothing (RFC 9110 §10.1.1 tells clients not to wait
	// indefinitely).
	expectContinueTimeout = time.Second
)

// Config configures an [Upstream]. The zero value is the OpenAI API with the defaults
// documented at each field.
type Config struct {
	// BaseURL is the proxied host, in the form that [ParseBaseURL] accepts. Empty means
	// [DefaultBaseURL].
	BaseURL string

	// ConnectTimeout bounds name resolution and connecting together, and the TLS
	// handshake that follows. Zero means [DefaultConnectTimeout].
	ConnectTimeout time.Duration

	// ResponseHeaderTimeout bounds the wait for the response header, counted from the
	// last byte of the request. A reasoning model may think for many minutes before it
	// responds. The response body is only bounded by the context passed to Send. Zero
	// means [DefaultResponseHeaderTimeout].
	ResponseHeaderTimeout time.Duration

	// HTTP2 uses HTTP/2 with https upstreams that support it, where one connection
	// carries many requests. It is worthwhile with many open streams, which then need
	// about half the memory. A short request costs about the same as over HTTP/1.1, the
	// default. WebSockets and cross-origin redirects always use HTTP/1.1.
	//
	// A request waits for at most three connections, each of which must send its settings
	// within ConnectTimeout.
	HTTP2 bool

	// NoRedirects returns redirects to the caller instead of following them.
	NoRedirects bool

	// Proxy is the proxy for all connections, in the form that [ParseProxy] accepts. The
	// proxy resolves host names. [NoProxy] means none. Empty means the proxy of the
	// environment, as described at [New].
	Proxy string

	// RootCAs verify the certificates of the upstream, of hosts that it redirects to,
	// and of a proxy. Nil means the system's roots. Verification can't be disabled.
	RootCAs *x509.CertPool

	// DialContext connects to a "host:port". It serves upstreams without TCP, such as
	// an in-process upstream: give that a loopback address, so that no proxy is used.
	// DialContext enforces its own timeout. Cross-origin redirects are not followed. Nil
	// means TCP with Happy Eyeballs (RFC 8305).
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// For tests. Zero means the constant of that name.
	stallTimeout time.Duration
	maxIdleConns int
	keepAlive    time.Duration
}

// Upstream sends requests to the proxied host. It is safe for concurrent use.
type Upstream struct {
	base              *url.URL
	basePath          string // the escaped path of base, without a trailing slash
	http1             *http1Client
	http2             *http2Client // nil if HTTP/2 is disabled
	crossOriginDialer *net.Dialer  // nil if cross-origin redirects are not followed
	config            Config
}

// New returns an Upstream. It doesn't connect yet. Without [Config.Proxy], the
// environment's HTTPS_PROXY, HTTP_PROXY and NO_PROXY are read here, and again for
// cross-origin redirects, with the meaning that [http.ProxyFromEnvironment] gives them: an
// upstream on a loopback address is never reached through a proxy.
//
// An error names the invalid field of config.
func New(config Config) (*Upstream, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultBaseURL
	}
	base, err := ParseBaseURL(config.BaseURL)
	if err != nil {
		return nil, err
	}
	for name, timeout := range map[string]time.Duration{
		"ConnectTimeout": config.ConnectTimeout, "ResponseHeaderTimeout": config.ResponseHeaderTimeout,
	} {
		if timeout < 0 {
			return nil, fmt.Errorf("upstream: %s is negative: want a positive duration, or zero for the default", name)
		}
	}
	proxy, err := proxyFor(base, config.Proxy)
	if err != nil {
		return nil, err
	}
	config = config.withDefaults()
	u := &Upstream{base: base, basePath: base.EscapedPath(), config: config}
	if config.DialContext == nil {
		u.crossOriginDialer = newNetDialer(config)
		u.crossOriginDialer.Control = denyPrivateAddrs
	}
	d := newDialer(base, config, proxy)
	u.http1 = d.client
	if config.HTTP2 && base.Scheme == "https" {
		u.http2 = newHTTP2Client(u.http1, d, config.keepAlive, !config.NoRedirects)
	}
	return u, nil
}

func (c Config) withDefaults() Config {
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.ResponseHeaderTimeout = cmp.Or(c.ResponseHeaderTimeout, DefaultResponseHeaderTimeout)
	c.stallTimeout = cmp.Or(c.stallTimeout, stallTimeout)
	c.maxIdleConns = cmp.Or(c.maxIdleConns, maxIdleConns)
	c.keepAlive = cmp.Or(c.keepAlive, keepAlive)
	return c
}

// newDialer returns a dialer, and its HTTP/1.1 client, for the host of a URL. A nil proxy
// means none.
func newDialer(base *url.URL, config Config, proxy *url.URL) *dialer {
	c := &http1Client{
		authority:     base.Host,
		staleWindow:   staleWindow,
		headerTimeout: config.ResponseHeaderTimeout,
		stallTimeout:  config.stallTimeout,
	}
	d := &dialer{
		client:      c,
		address:     hostPort(base),
		timeout:     config.ConnectTimeout,
		dialNetwork: config.DialContext,
		proxy:       proxy,
		roots:       config.RootCAs,
	}
	if d.dialNetwork == nil {
		d.dialNetwork = newNetDialer(config).DialContext
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
		c.targetPrefix = "http://" + base.Host
		c.proxyAuthorization = proxyCredentials(proxy)
	}
	c.pool = pool{dial: d.dial, maxIdle: config.maxIdleConns}
	return d
}

// newNetDialer returns a dialer that uses Happy Eyeballs and detects dead peers.
func newNetDialer(config Config) *net.Dialer {
	return &net.Dialer{
		Timeout: config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable:   true,
			Idle:     config.keepAlive,
			Interval: config.keepAlive,
			Count:    keepAliveProbes,
		},
	}
}

// BaseURL returns the complete base URL, "https://api.openai.com/v1".
func (u *Upstream) BaseURL() string {
	return u.base.String()
}

// Ready returns an error if the upstream is known to be unavailable. Over HTTP/2 it is
// unavailable after three connections that violated the protocol or stopped responding,
// unless a request has succeeded since. After 30 seconds it is tried again.
func (u *Upstream) Ready() error {
	if u.http2 == nil {
		return nil
	}
	return u.http2.ready()
}

// CloseIdleConnections closes the connections without requests.
func (u *Upstream) CloseIdleConnections() {
	u.http1.pool.closeIdle()
	if u.http2 != nil {
		u.http2.closeIdle()
	}
}
