package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/openai-connect/openai-connect/server/admin"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/internal/logging"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// telemetryFlags configure logs, metrics and traces.
type telemetryFlags struct {
	LogLevel   logLevel `help:"Lowest level of logged messages: debug, info, warn or error." default:"info"`
	LogFormat  string   `help:"Format of the log: text or json." enum:"text,json" default:"text"`
	AccessLog  bool     `help:"Log each finished request: client, method, status, tokens and duration. Contents, keys and queries are never logged."`
	LogContent bool     `help:"For debugging only: log requests and responses, cut to lines of 8 KiB, with text that looks like a key removed."`

	Admin      string `help:"Address of the operators' endpoint with /metrics for Prometheus, /healthz and /readyz: HOST:PORT, or PORT for 127.0.0.1. [::]:9464 means all addresses of the machine, 0.0.0.0:9464 those of IPv4. Default: none." placeholder:"ADDRESS"`
	AdminPprof bool   `help:"Serve profiles under /debug/pprof/ at --admin. They reveal the contents of memory, including keys."`

	OTLPEndpoint string `name:"otlp-endpoint" env:"OPENAI_CONNECT_OTLP_ENDPOINT" help:"OpenTelemetry collector that receives traces: grpc://HOST:4317, grpcs:// with TLS, or http(s)://HOST:4318. OpenTelemetry's variables, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_TRACES_SAMPLER, apply too. Default: none." placeholder:"URL"`
}

// check returns an error if an address is invalid.
func (f *telemetryFlags) check() error {
	if f.Admin != "" {
		if _, err := admin.Address(f.Admin); err != nil {
			return fmt.Errorf("--admin: %w", err)
		}
	}
	if f.OTLPEndpoint != "" {
		if err := (telemetry.Tracing{Endpoint: f.OTLPEndpoint}).Check(); err != nil {
			return fmt.Errorf("--otlp-endpoint: %w", err)
		}
	}
	for flag, logs := range map[string]bool{"--access-log": f.AccessLog, "--log-content": f.LogContent} {
		if logs && f.LogLevel > logLevel(slog.LevelInfo) {
			return fmt.Errorf("%s and --log-level: messages of level info are not logged: set the level to info or debug", flag)
		}
	}
	return nil
}

// newLog returns the handler of the server's log. Package log, which net/http uses,
// writes to it too.
func (f *telemetryFlags) newLog(to io.Writer) *logging.Handler {
	handler := logging.New(to, logging.Options{Level: slog.Level(f.LogLevel), JSON: f.LogFormat == "json"})
	handler.Redact(func(text string) string { return telemetry.Redact(text, nil) })
	log.SetFlags(0)
	log.SetOutput(logging.NewLog(handler).Writer())
	return handler
}

// observer returns the server's observer, or nil if there is nothing to observe. It
// must be closed. Secrets returns the values that must not be logged.
func (f *telemetryFlags) observer(logger *slog.Logger, secrets func() []secret.Secret) (*telemetry.Observer, error) {
	if f.Admin == "" && f.OTLPEndpoint == "" && !f.AccessLog && !f.LogContent {
		return nil, nil //nolint:nilnil // A nil Observer observes nothing.
	}
	config := telemetry.Config{Secrets: secrets, Version: version(), Logger: logger}
	if f.AccessLog {
		config.Calls = logger
	}
	if f.LogContent {
		config.Contents = logger
	}
	if f.OTLPEndpoint != "" {
		config.Tracing = &telemetry.Tracing{Endpoint: f.OTLPEndpoint}
	}
	return telemetry.New(config)
}

// serveAdmin serves --admin until stop is called, which is after all requests have
// finished.
func (f *telemetryFlags) serveAdmin(ctx context.Context, observer *telemetry.Observer, ready func() error, hosts *auth.Hosts, logger *slog.Logger) (stop func() error, err error) {
	if f.Admin == "" {
		return func() error { return nil }, nil
	}
	address, err := admin.Address(f.Admin)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	listener, err := listenOn(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	logger.Info("serving metrics and probes", "address", listener.Addr().String())
	operators := admin.New(admin.Config{Metrics: observer.MetricsHandler(), Ready: ready, PProf: f.AdminPprof, Hosts: hosts, Logger: logger})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- operators.Serve(ctx, listener) }()
	return func() error {
		cancel()
		return <-served
	}, nil
}
