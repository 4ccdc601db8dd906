package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/openai-connect/openai-connect/server/overload"
)

// serverFlags are the flags of a server, which serve and check share.
//
// The tags min and max bound a value, and secret marks a variable that is not a
// flag: see [checkFlags].
type serverFlags struct {
	Config configPath `help:"YAML file with the values of other flags. Its keys are their names in snake_case. Flags and variables override it." placeholder:"FILE"`
	Listen *string    `help:"Address to listen on, HOST:PORT. Without HOST: all addresses of the machine; 0.0.0.0 means those of IPv4. Default: 127.0.0.1:8080, or :443 with --domain." placeholder:"ADDRESS"`

	AllowedHost    []string `help:"Host names of the server, in addition to IP addresses, localhost, --domain and the host of --listen. With --allow-anonymous, and at --admin, requests for other names are rejected. This keeps web pages out that resolve a name of their own to the server." placeholder:"NAME"`
	TrustedProxies []string `help:"Addresses or ranges of load balancers, such as 10.0.0.0/8. The client address of their requests is the last address in X-Forwarded-For or Forwarded that is not one of these." placeholder:"CIDR"`
	ProxyProtocol  bool     `help:"Read the client address from the PROXY protocol, v1 or v2. Each connection from --trusted-proxies must begin with it."`
	CORSOrigin     []string `help:"Origins whose web pages may use the server, such as https://app.example.com; '*' for all, 'none' for none. Default: all, or none if the server holds an upstream key." placeholder:"ORIGIN"`

	DrainDelay       time.Duration `help:"Time to accept requests after reporting not-ready at shutdown, so that load balancers can react. 10s suits most setups." default:"0s" min:"0s"`
	DrainTimeout     time.Duration `help:"Time for requests in progress to finish at shutdown, after the delay." default:"30s" min:"0s"`
	MaxConnectionAge time.Duration `help:"Age at which clients are told to open a new connection, which may reach another server. Requests in progress continue. 0s means never." default:"0s" min:"1s" zero:"never"`

	Upstream  upstreamFlags  `embed:"" group:"Upstream:"`
	HTTPS     httpsFlags     `embed:"" group:"HTTPS:"`
	Auth      authFlags      `embed:"" group:"Authentication and rate limits:"`
	Redis     redisFlags     `embed:"" group:"Authentication and rate limits:"`
	Limits    limitFlags     `embed:"" group:"Limits:"`
	Telemetry telemetryFlags `embed:"" group:"Logs, metrics and traces:"`
}

// limitFlags bound what clients can use.
type limitFlags struct {
	MaxCalls           int           `help:"Maximum number of requests in progress, of all clients. Open streams and WebSockets count." default:"12000" min:"1" max:"1048576"`
	MaxQueue           int           `help:"Maximum number of queued requests, each for up to one second. Further ones are rejected." default:"1000" min:"0" max:"1048576"`
	MaxConnections     int           `help:"Maximum number of client connections. Further ones wait, and idle connections are closed for them." default:"12000" min:"1" max:"1048576"`
	MaxMessageBytes    int           `help:"Maximum size of a request message or a unary response of an RPC, in bytes." default:"67108864" min:"1"`
	MaxBufferedBytes   int64         `help:"Maximum memory for all buffered bodies, in bytes: decompressed messages of RPCs, and raw requests that are read for their model or buffered for a retry. Further ones are rejected." default:"268435456" min:"1"`
	ClientStallTimeout time.Duration `help:"Maximum pause of a client while it sends a body or reads a response that is ready. The time that a model takes does not count." default:"2m" min:"1s"`
	ClientIdleTimeout  time.Duration `help:"Maximum idle time of a client connection." default:"3m" min:"1s"`
}

func (f *limitFlags) overload() *overload.Config {
	return &overload.Config{MaxCalls: f.MaxCalls, MaxQueue: f.MaxQueue, QueueTimeout: overload.DefaultQueueTimeout}
}

// logLevel is a level whose parse error lists the levels.
type logLevel slog.Level

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *logLevel) UnmarshalText(text []byte) error {
	if (*slog.Level)(l).UnmarshalText(text) != nil {
		return fmt.Errorf("unknown level %q: want one of debug, info, warn and error", text)
	}
	return nil
}

// listenAddress returns the address to listen on.
func (f *serverFlags) listenAddress() string {
	switch {
	case f.Listen != nil:
		return *f.Listen
	case f.HTTPS.Domain != nil:
		return ":443"
	default:
		return "127.0.0.1:8080"
	}
}

// hosts returns the host names of the server.
func (f *serverFlags) hosts() []string {
	hosts := slices.Concat(f.AllowedHost, f.HTTPS.Domain)
	for _, address := range []string{f.listenAddress(), f.Telemetry.Admin} {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
