package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/admin"
	"github.com/openai-connect/openai-connect/server/internal/logging"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// checkCommand validates what a server with the same flags would use, without serving.
type checkCommand struct {
	serverFlags `embed:""`
}

// Run prints what the server would serve, and the state of what it depends on. It
// returns an error if the server could not serve.
func (c *checkCommand) Run(ctx context.Context, given givenFlags, streams streams) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.check(given); err != nil {
		return err
	}
	c.Telemetry.LogLevel = max(c.Telemetry.LogLevel, logLevel(slog.LevelWarn))
	handler := c.Telemetry.newLog(streams.err)
	defer handler.Flush()
	logger := slog.New(handler)
	if _, err := c.HTTPS.files(logger); err != nil {
		return err
	}
	if _, err := readRoots(c.HTTPS.ACMECA); err != nil {
		return fmt.Errorf("--acme-ca: %w", err)
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

	r := &checkReport{table: tabwriter.NewWriter(streams.out, 0, 0, 2, ' ', 0)}
	c.printAddresses(ctx, r)
	r.printf("clients", "%s", c.Auth.describe(deps))
	c.printRateLimits(r, deps)
	r.printf("web pages", "%s", describeOrigins(c.CORSOrigin, deps.replacesKeys()))
	r.printf("limits", "%d concurrent requests, %d connections, messages of %d bytes, %d bytes of buffers",
		c.Limits.MaxCalls, c.Limits.MaxConnections, c.Limits.MaxMessageBytes, c.Limits.MaxBufferedBytes)
	for _, upstream := range deps.probes() {
		r.printf(upstream.name, "%s", upstream.description)
		if upstream.url != server.Sandbox {
			r.section = upstream.name
			upstream.run(ctx, r)
		}
	}
	return r.result()
}

// redact removes the secrets of a server from its log.
func redact(handler *logging.Handler, d *deps) {
	handler.Redact(func(text string) string { return telemetry.Redact(text, d.secrets()) })
}

// checkReport is a table of findings.
type checkReport struct {
	table   *tabwriter.Writer
	section string // of findings below it, such as those of an upstream
	failed  []string
}

func (r *checkReport) printf(name, format string, arguments ...any) {
	fmt.Fprintf(r.table, "%s\t%s\n", name, fmt.Sprintf(format, arguments...))
}

// failf prints a finding that keeps the server from serving.
func (r *checkReport) failf(name, format string, arguments ...any) {
	r.printf(name, "FAILED: "+format, arguments...)
	r.failed = append(r.failed, strings.Join(strings.Fields(r.section+" "+name), " "))
}

func (r *checkReport) result() error {
	if err := r.table.Flush(); err != nil {
		return err
	}
	if len(r.failed) > 0 {
		return fmt.Errorf("check failed: %s", strings.Join(r.failed, ", "))
	}
	return nil
}

// printAddresses reports the addresses to listen on, and whether they are free.
func (f *serverFlags) printAddresses(ctx context.Context, r *checkReport) {
	protocol := "HTTP"
	if f.HTTPS.Domain != nil || f.HTTPS.TLSCert != "" {
		protocol = "HTTPS"
	}
	r.listen(ctx, "listen", f.listenAddress(), protocol)
	if f.HTTPS.Domain != nil {
		r.printf("certificate", "obtained for %s", strings.Join(f.HTTPS.Domain, ", "))
		if address := f.HTTPS.plainAddress(); address != "" {
			r.listen(ctx, "HTTP listener", address, "ACME challenges and redirects")
		}
	}
	if f.HTTPS.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(f.HTTPS.TLSCert, f.HTTPS.TLSKey)
		switch {
		case err != nil:
			r.failf("certificate", "%v", err)
		case time.Now().After(certificate.Leaf.NotAfter):
			r.failf("certificate", "expired on %s", certificate.Leaf.NotAfter.Format(time.RFC3339))
		default:
			r.printf("certificate", "%s, valid until %s", f.HTTPS.TLSCert, certificate.Leaf.NotAfter.Format(time.RFC3339))
		}
	}
	if f.Telemetry.Admin == "" {
		r.printf("admin", "none")
	} else if address, err := admin.Address(f.Telemetry.Admin); err == nil {
		r.listen(ctx, "admin", address, "metrics and probes")
	}
}

// listen reports whether an address is free. An address in use is not a failure, as
// the server to replace may use it.
func (r *checkReport) listen(ctx context.Context, name, address, purpose string) {
	switch listener, err := listenOn(ctx, address); {
	case errors.Is(err, syscall.EADDRINUSE):
		r.printf(name, "%s, %s (in use now)", address, purpose)
	case err != nil:
		r.failf(name, "%v", err)
	default:
		_ = listener.Close()
		r.printf(name, "%s, %s", address, purpose)
	}
}

// describe returns who may use the server.
func (f *authFlags) describe(d *deps) string {
	switch {
	case f.Clients != "":
		return fmt.Sprintf("%d in %s", d.config.Clients.Status().Clients, f.Clients)
	case f.ClientKeyFile != "":
		return "all that send the client key"
	case f.AllowAnonymous:
		return "everyone, with the upstream key (--allow-anonymous)"
	default:
		return "everyone, with their own API key"
	}
}

// printRateLimits reports where rate limits are counted.
func (f *serverFlags) printRateLimits(r *checkReport, d *deps) {
	shared, ok := d.config.Limiter.(*ratelimit.Shared)
	switch {
	case f.Auth.Clients == "":
	case !ok:
		r.printf("rate limits", "counted by this server")
	case shared.Stats().RedisUp:
		r.printf("rate limits", "counted in Redis")
	default:
		r.failf("rate limits", "Redis is unavailable")
	}
}

// describeOrigins returns which web pages may use the server.
func describeOrigins(origins []string, replacesKeys bool) string {
	switch {
	case origins == nil && replacesKeys, len(origins) == 1 && origins[0] == "none":
		return "none of other origins"
	case origins == nil, len(origins) == 1 && origins[0] == "*":
		return "all"
	default:
		return "of " + strings.Join(origins, ", ")
	}
}
