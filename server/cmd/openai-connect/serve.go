package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/cors"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// serveCommand is the server's flags.
type serveCommand struct {
	Listen   *string `help:"Address to listen on, HOST:PORT; without HOST, every address of the machine; 0.0.0.0 for those of IPv4. By default 127.0.0.1:8080, and :443 with --domain." placeholder:"ADDRESS"`
	Upstream string  `help:"The proxied host: a base URL as the OpenAI SDKs take it, or 'sandbox', which is embedded and needs no key." default:"https://api.openai.com/v1"`

	Transport transportFlags `embed:"" group:"The way to the upstream:"`

	Upstreams upstreamsFlags `embed:"" group:"The way to the upstream:"`

	HTTPS httpsFlags `embed:"" group:"HTTPS:"`

	Auth  authFlags  `embed:"" group:"The upstream's key, held by the server:"`
	Redis redisFlags `embed:"" group:"The upstream's key, held by the server:"`

	AllowedHost []string `help:"Host names that the server is reached by, beside IP addresses, localhost, the host of --listen and --domain. They count at the address of --admin, and where --allow-anonymous lets everyone use the upstream's key: requests for other names are refused, so that no web page gets at the server by a name of its own." placeholder:"NAME"`

	TrustedProxies []string `help:"Addresses of balancers, or ranges of them such as 10.0.0.0/8. Of a request that comes from one, the client's address is the last in X-Forwarded-For, or Forwarded, that is not one of these." placeholder:"CIDR"`

	ProxyProtocol bool `help:"Take the client's address from the PROXY protocol, v1 or v2, with which every connection from --trusted-proxies then has to begin."`

	CORSOrigin []string `help:"Origins whose web pages may use the server, such as https://app.example.com; '*' for any, or 'none'. By default any, and none where the server holds the upstream's key." placeholder:"ORIGIN"`

	ResponseHeaderTimeout time.Duration `help:"How long the upstream may take to begin its answer. A reasoning model may take many minutes." default:"30m" group:"The way to the upstream:"`
	DrainDelay            time.Duration `help:"How long new calls are still taken at a shutdown, though the server says that it isn't ready any more: as long as those who balance the load need to notice. 10s suits most." default:"0s"`
	DrainTimeout          time.Duration `help:"How long calls may take to end at a shutdown, behind the delay, before they are cut off." default:"30s"`
	MaxConnectionAge      time.Duration `help:"Age at which a client is told, with its next answer, to begin another connection, where it may meet another server. What runs on the old one goes on. 0s for never." default:"0s"`

	MaxMessageBytes  int `help:"Maximum size of a request message or a unary response of an RPC, in bytes." default:"67108864" group:"Limits:"`
	MaxBufferedBytes int `help:"Most memory, in bytes, for all bodies that are held: messages of RPCs, decompressed, replies to them, and raw requests whose model has to be known. Further ones are refused." default:"268435456" group:"Limits:"`

	Limits connectionLimitsFlags `embed:"" group:"Limits:"`

	Overload overloadFlags `embed:"" group:"Limits:"`

	Telemetry telemetryFlags `embed:"" group:"What the operator sees:"`

	LogLevel logLevel `help:"What is logged: this level and above, of debug, info, warn and error." default:"info"`
}

// logLevel is a level whose error says which there are.
type logLevel slog.Level

// UnmarshalText is called by the parser.
func (l *logLevel) UnmarshalText(text []byte) error {
	if (*slog.Level)(l).UnmarshalText(text) != nil {
		return fmt.Errorf("%q is none of debug, info, warn and error", text)
	}
	return nil
}

// check says what is wrong with the values of flags that the parser takes.
func (c *serveCommand) check() error {
	if _, _, err := net.SplitHostPort(c.listen()); err != nil {
		return fmt.Errorf("--listen: %q is no HOST:PORT, such as 127.0.0.1:8080", c.listen())
	}
	if c.Upstream == "" {
		return errors.New("--upstream: is empty: leave it out for " + upstream.DefaultBaseURL)
	}
	if err := c.Transport.check(); err != nil {
		return err
	}
	if err := c.HTTPS.check(); err != nil {
		return err
	}
	if err := c.Auth.check(c.Upstreams.Upstreams); err != nil {
		return err
	}
	if err := c.Redis.check(c.Auth.Clients); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Telemetry.check(); err != nil {
		return err
	}
	if err := cmp.Or(c.Upstreams.check(c.Upstream), c.Overload.check()); err != nil {
		return err
	}
	if _, err := auth.NewHosts(c.AllowedHost); err != nil {
		return fmt.Errorf("--allowed-host: %w", err)
	}
	if _, err := clientaddr.Parse(c.TrustedProxies); err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		return errors.New("--proxy-protocol: needs --trusted-proxies: name the addresses of the balancers that speak it")
	}
	if c.CORSOrigin != nil {
		if _, err := cors.NewPolicy(c.CORSOrigin); err != nil {
			return fmt.Errorf("--cors-origin: %w", err)
		}
	}
	for _, bound := range []struct {
		flag         string
		value, least time.Duration
	}{
		{"response-header-timeout", c.ResponseHeaderTimeout, 1},
		{"drain-delay", c.DrainDelay, 0},
		{"drain-timeout", c.DrainTimeout, 0},
	} {
		if bound.value < bound.least {
			return fmt.Errorf("--%s: %v is too short: give a time such as 30s or 5m", bound.flag, bound.value)
		}
	}
	if c.MaxConnectionAge != 0 && c.MaxConnectionAge < time.Second {
		return fmt.Errorf("--max-connection-age: %v is too short: give 1s or more, or 0s for never", c.MaxConnectionAge)
	}
	for _, bound := range []struct {
		flag  string
		value int
	}{
		{"max-message-bytes", c.MaxMessageBytes},
		{"max-buffered-bytes", c.MaxBufferedBytes},
	} {
		if bound.value <= 0 {
			return fmt.Errorf("--%s: %d is too small: give a number of bytes above zero", bound.flag, bound.value)
		}
	}
	return nil
}

// hosts are the names that the server is reached by.
func (c *serveCommand) hosts() []string {
	hosts := slices.Concat(c.AllowedHost, c.HTTPS.Domain)
	for _, address := range []string{c.listen(), c.Telemetry.Admin} {
		if host, _, err := net.SplitHostPort(address); err == nil && host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// listen is the address to listen on.
func (c *serveCommand) listen() string {
	switch {
	case c.Listen != nil:
		return *c.Listen
	case c.HTTPS.Domain != nil:
		return ":443"
	default:
		return "127.0.0.1:8080"
	}
}

// Run serves until ctx is done, or a signal asks for the end.
func (c *serveCommand) Run(ctx context.Context, streams streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // From then on, a second signal ends the program at once.
	watchdog := watchShutdown(ctx, streams.err)
	if err := c.check(); err != nil {
		return err
	}
	handler := c.Telemetry.log(streams.err, slog.Level(c.LogLevel))
	defer handler.Flush()
	logger := slog.New(handler)
	c.fitFiles(ctx, logger)
	tlsConfig, err := c.HTTPS.files(logger)
	if err != nil {
		return err
	}
	deps, err := c.build(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, deps.close()) }()
	handler.Redact(func(text string) string { return telemetry.Redact(text, deps.secrets()) })
	front, err := server.New(deps.config)
	if err != nil {
		return fmt.Errorf("--upstream: %w", configCause(err))
	}
	defer func() { err = errors.Join(err, front.Close()) }()
	listener, err := listenOn(ctx, c.listen())
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	address := listener.Addr().String()
	site, err := c.HTTPS.site(ctx, listener.Addr(), logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if site != nil {
		defer site.Close()
		tlsConfig, address = site.TLS(), site.address(listener.Addr())
	}
	hosts, err := auth.NewHosts(c.hosts())
	if err != nil {
		return errors.Join(fmt.Errorf("--listen: %w", err), listener.Close())
	}
	stopAdmin, err := c.Telemetry.serveAdmin(ctx, deps.config.Observer, front.Ready, hosts, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, stopAdmin()) }()
	ballast := newGCBallast()
	defer runtime.KeepAlive(ballast)
	c.Auth.warn(listener.Addr().String(), deps.upstreams(), logger)
	first := deps.upstreams()[0]
	fmt.Fprint(streams.out, banner(address, first, c.Auth.credential(first), tlsConfig != nil, site))
	watchdog.serving(c.DrainDelay + c.DrainTimeout)
	defer watchdog.served()
	return serveWith(ctx, front, listener, server.ServeConfig{
		TLS:              tlsConfig,
		DrainDelay:       c.DrainDelay,
		DrainTimeout:     cmp.Or(c.DrainTimeout, -1), // zero means none
		MaxConnectionAge: c.MaxConnectionAge,
		ProxyProtocol:    c.ProxyProtocol,
		StallTimeout:     c.Limits.ClientStallTimeout,
		IdleTimeout:      c.Limits.ClientIdleTimeout,
		MaxConnections:   c.Limits.MaxConnections,
	}, site, logger)
}

// configCause returns the reason of a [server.ConfigError], and other errors as they are.
func configCause(err error) error {
	if field, ok := errors.AsType[*server.ConfigError](err); ok {
		return field.Err
	}
	return err
}
