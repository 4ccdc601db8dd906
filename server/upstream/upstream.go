// Package upstream is the one way to the proxied host: every request that
// leaves the server, typed or raw, is sent here, and nowhere else is a
// connection to that host made.
//
// It knows HTTP and nothing above it. A request goes out as it was given: no
// redirect is followed, no cookie kept, no body decompressed, no field added
// that HTTP does not demand.
package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Defaults of [Config].
const (
	DefaultBaseURL                = "https://api.openai.com/v1"
	DefaultConnectTimeout         = 10 * time.Second
	DefaultResponseHeaderTimeout  = 30 * time.Minute
	DefaultMaxResponseHeaderBytes = 1 << 20
	DefaultMaxIdleConns           = 1024
	DefaultKeepAlive              = 15 * time.Second
)

const (
	// idleConnTimeout is shorter than the 75 seconds after which nginx and
	// many others close an idle connection, so that we are the first to.
	idleConnTimeout = 60 * time.Second

	// expectContinueTimeout is how long a client's "Expect: 100-continue"
	// holds back the body if the upstream says nothing (RFC 9110 §10.1.1
	// tells clients not to wait indefinitely).
	expectContinueTimeout = time.Second

	// keepAliveProbes is how many TCP probes go unanswered before the kernel
	// gives the connection up.
	keepAliveProbes = 4

	// streamBuffer is how much of one HTTP/2 response, in bytes, may wait here
	// for a slow reader before the upstream has to pause. At 50 ms to the
	// upstream it allows 20 MB/s a stream.
	streamBuffer = 1 << 20
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

	// RootCAs verify the upstream's certificate. Nil means the system's.
	// There is no way to turn verification off.
	RootCAs *x509.CertPool

	// DialContext connects to a "host:port". It is there for upstreams that
	// are not reached by TCP, such as one inside the process: name it by a
	// loopback address, so that no proxy is put before it. It bounds its own
	// time. Nil means TCP, by Happy Eyeballs (RFC 6555) where the name has
	// several addresses.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Upstream sends requests to the proxied host. It is safe for concurrent use.
type Upstream struct {
	base      *url.URL
	basePath  string // base's path as it is written, without a trailing slash
	absolute  bool   // requests go to a plain HTTP proxy, which takes absolute-form targets
	transport *http.Transport
}

// New makes an Upstream. It connects to nothing yet. The environment's
// HTTPS_PROXY, HTTP_PROXY and NO_PROXY are read here, with the meaning that
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
		{"MaxResponseHeaderBytes", config.MaxResponseHeaderBytes < 0},
		{"MaxIdleConns", config.MaxIdleConns < 0},
		{"KeepAlive", config.KeepAlive < 0},
	} {
		if limit.negative {
			return nil, fmt.Errorf("upstream: %s is negative: give a positive value, or zero for the default", limit.name)
		}
	}
	proxy, err := proxyFor(base)
	if err != nil {
		return nil, err
	}
	transport := newTransport(config)
	if proxy != nil {
		transport.Proxy = http.ProxyURL(proxy)
	}
	return &Upstream{
		base:      base,
		basePath:  base.EscapedPath(),
		absolute:  proxy != nil && base.Scheme == "http" && (proxy.Scheme == "http" || proxy.Scheme == "https"),
		transport: transport,
	}, nil
}

func newTransport(config Config) *http.Transport {
	connectTimeout := cmp.Or(config.ConnectTimeout, DefaultConnectTimeout)
	keepAlive := cmp.Or(config.KeepAlive, DefaultKeepAlive)
	idleConns := cmp.Or(config.MaxIdleConns, DefaultMaxIdleConns)

	dial := config.DialContext
	if dial == nil {
		dial = (&net.Dialer{
			Timeout: connectTimeout,
			KeepAliveConfig: net.KeepAliveConfig{
				Enable:   true,
				Idle:     keepAlive,
				Interval: keepAlive,
				Count:    keepAliveProbes,
			},
		}).DialContext
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		OnProxyConnectResponse: refusedByProxy,
		DisableCompression:     true,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idleConns, // there is but one host
		IdleConnTimeout:        idleConnTimeout,
		ResponseHeaderTimeout:  cmp.Or(config.ResponseHeaderTimeout, DefaultResponseHeaderTimeout),
		ExpectContinueTimeout:  expectContinueTimeout,
		MaxResponseHeaderBytes: cmp.Or(config.MaxResponseHeaderBytes, DefaultMaxResponseHeaderBytes),
		Protocols:              protocols,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           keepAlive,
			PingTimeout:               keepAlive,
			MaxReceiveBufferPerStream: streamBuffer,
		},
	}
}

// BaseURL returns the proxied host's base URL in full, "https://api.openai.com/v1".
func (u *Upstream) BaseURL() string {
	return u.base.String()
}

// CloseIdleConnections closes the connections that no request is using.
func (u *Upstream) CloseIdleConnections() {
	u.transport.CloseIdleConnections()
}
