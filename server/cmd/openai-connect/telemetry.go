package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/internal/logging"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// telemetryFlags are about what the operator sees.
type telemetryFlags struct {
	LogFormat string `help:"How it is logged: as text or json." enum:"text,json" default:"text"`

	AccessLog  bool `help:"Log each call when it has ended: who, what, how much and how fast; never contents, keys or queries."`
	LogContent bool `help:"For debugging alone: log what is asked and answered too, as far as a line of 8 KiB has room, without what looks like a key."`

	Admin      string `help:"Address for operators, with /metrics for Prometheus, /healthz and /readyz: HOST:PORT, or a port, which is one of 127.0.0.1. [::]:9464 for every address of the machine, 0.0.0.0:9464 for those of IPv4. By default there is none." placeholder:"ADDRESS"`
	AdminPprof bool   `help:"Serve profiles there too, under /debug/pprof/. They show what is in memory, keys included."`

	OTLPEndpoint string `name:"otlp-endpoint" env:"OPENAI_CONNECT_OTLP_ENDPOINT" help:"OpenTelemetry collector to send traces to: grpc://HOST:4317, grpcs:// with TLS, or http(s)://HOST:4318. OpenTelemetry's variables, such as OTEL_EXPORTER_OTLP_HEADERS and OTEL_TRACES_SAMPLER, apply too. By default there are no traces." placeholder:"URL"`
}

// check says what is wrong with the flags' values.
func (f *telemetryFlags) check() error {
	if f.Admin != "" {
		if _, err := telemetry.AdminAddress(f.Admin); err != nil {
			return fmt.Errorf("--admin: %w", err)
		}
	} else if f.AdminPprof {
		return errors.New("--admin-pprof: profiles are served at the address of --admin, which isn't given")
	}
	if f.OTLPEndpoint != "" {
		if err := (telemetry.Tracing{Endpoint: f.OTLPEndpoint}).Check(); err != nil {
			return fmt.Errorf("--otlp-endpoint: %w", err)
		}
	}
	return nil
}

// log returns what the server logs by. Packages that log by package log, such as
// net/http's client, do so there too.
func (f *telemetryFlags) log(to io.Writer, level slog.Level) *logging.Handler {
	handler := logging.New(to, logging.Options{Level: level, JSON: f.LogFormat == "json"})
	handler.Redact(func(text string) string { return telemetry.Redact(text, nil) })
	log.SetFlags(0)
	log.SetOutput(logging.NewLog(handler).Writer())
	return handler
}

// observer returns what observes the server, nil if nothing is to be observed. It
// must be closed in the end. Secrets are those that no log may have.
func (f *telemetryFlags) observer(logger *slog.Logger, secrets func() []auth.Secret) (*telemetry.Observer, error) {
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

// serveAdmin serves operators until the function that it returns is called, which
// is when all else has ended. Without --admin there is nobody to serve.
func (f *telemetryFlags) serveAdmin(ctx context.Context, observer *telemetry.Observer, ready func() error, hosts *auth.Hosts, logger *slog.Logger) (stop func() error, err error) {
	if f.Admin == "" {
		return func() error { return nil }, nil
	}
	address, err := telemetry.AdminAddress(f.Admin)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	listener, err := listenOn(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	logger.Info("metrics and probes are served", "address", listener.Addr().String())
	admin := observer.Admin(telemetry.AdminConfig{Ready: ready, PProf: f.AdminPprof, Hosts: hosts, Logger: logger})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- admin.Serve(ctx, listener) }()
	return func() error {
		cancel()
		return <-served
	}, nil
}
