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
	"syscall"

	"github.com/openai-connect/openai-connect/server"
)

// serveCommand runs the server.
type serveCommand struct {
	serverFlags `embed:""`
}

// check returns an error if the value of a flag is invalid.
func (f *serverFlags) check(given givenFlags) error {
	if _, _, err := net.SplitHostPort(f.listenAddress()); err != nil {
		return fmt.Errorf("--listen: invalid address %q: want HOST:PORT, such as 127.0.0.1:8080", f.listenAddress())
	}
	if err := f.HTTPS.check(); err != nil {
		return err
	}
	if err := f.Redis.check(given); err != nil {
		return err
	}
	return f.Telemetry.check()
}

// Run serves until ctx is done or a signal arrives.
func (c *serveCommand) Run(ctx context.Context, given givenFlags, streams streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // A second signal then ends the program at once.
	watchdog := watchShutdown(ctx, streams.err)
	if err := c.check(given); err != nil {
		return err
	}
	handler := c.Telemetry.newLog(streams.err)
	defer handler.Flush()
	logger := slog.New(handler)
	c.applyFileLimit(ctx, logger)
	tlsConfig, err := c.HTTPS.files(logger)
	if err != nil {
		return err
	}
	deps, err := c.build(ctx, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, deps.close()) }()
	redact(handler, deps)
	front, err := deps.newServer(given)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, front.Close()) }()
	listener, err := listenOn(ctx, c.listenAddress())
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	address := listener.Addr().String()
	site, err := c.HTTPS.newACMESite(ctx, listener.Addr(), logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if site != nil {
		defer site.Close()
		tlsConfig, address = site.TLS(), site.address(listener.Addr())
	}
	stopAdmin, err := c.Telemetry.serveAdmin(ctx, deps.config.Observer, front.Ready, deps.hosts, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, stopAdmin()) }()
	ballast := newGCBallast()
	defer runtime.KeepAlive(ballast)
	c.warn(listener.Addr().String(), deps, logger)
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
