package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// serveCommand is the server's flags.
type serveCommand struct {
	Listen   string `help:"Address to listen on, HOST:PORT." default:"127.0.0.1:8080"`
	Upstream string `help:"The proxied host: a base URL as the OpenAI SDKs take it, or 'sandbox', which is embedded and needs no key." default:"https://api.openai.com/v1"`

	TLSCert string `help:"Certificate chain to serve HTTPS with, a PEM file." placeholder:"FILE"`
	TLSKey  string `help:"The certificate's key, a PEM file." placeholder:"FILE"`

	ConnectTimeout        time.Duration `help:"Bound on connecting to the upstream." default:"10s"`
	ResponseHeaderTimeout time.Duration `help:"Bound on the wait for the upstream's response headers. A reasoning model may take many minutes." default:"30m"`
	DrainTimeout          time.Duration `help:"Bound on the time that calls have to end at a shutdown." default:"30s"`

	MaxMessageBytes int `help:"Largest request message of an RPC." default:"67108864"`
	MaxReplyBytes   int `help:"Largest answer of the upstream to a unary RPC." default:"67108864"`
	MaxEventBytes   int `help:"Largest event of the upstream's answer to a streaming RPC." default:"16777216"`

	LogLevel logLevel `help:"Least level of what is logged: debug, info, warn or error." default:"info"`
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
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("--listen: %q is no HOST:PORT, such as 127.0.0.1:8080", c.Listen)
	}
	if c.Upstream == "" {
		return errors.New("--upstream: is empty: leave it out for " + upstream.DefaultBaseURL)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key: one is of no use without the other")
	}
	for _, bound := range []struct {
		flag         string
		value, least time.Duration
	}{
		{"connect-timeout", c.ConnectTimeout, 1},
		{"response-header-timeout", c.ResponseHeaderTimeout, 1},
		{"drain-timeout", c.DrainTimeout, 0},
	} {
		if bound.value < bound.least {
			return fmt.Errorf("--%s: %v is too short", bound.flag, bound.value)
		}
	}
	for _, bound := range []struct {
		flag  string
		value int
	}{
		{"max-message-bytes", c.MaxMessageBytes},
		{"max-reply-bytes", c.MaxReplyBytes},
		{"max-event-bytes", c.MaxEventBytes},
	} {
		if bound.value <= 0 {
			return fmt.Errorf("--%s: %d is too small", bound.flag, bound.value)
		}
	}
	return nil
}

// tls returns what HTTPS is served with, and nil where it isn't.
func (c *serveCommand) tls() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil //nolint:nilnil // that is HTTP without TLS
	}
	chain, err := os.ReadFile(c.TLSCert)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	key, err := os.ReadFile(c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-key: %w", err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// Run serves until ctx is done.
func (c *serveCommand) Run(ctx context.Context, streams streams) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(streams.err, &slog.HandlerOptions{Level: slog.Level(c.LogLevel)}))
	front, err := server.New(server.Config{
		Upstream:              c.Upstream,
		ConnectTimeout:        c.ConnectTimeout,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		MaxMessageBytes:       c.MaxMessageBytes,
		MaxReplyBytes:         c.MaxReplyBytes,
		MaxEventBytes:         c.MaxEventBytes,
		Logger:                logger,
	})
	if err != nil {
		return fmt.Errorf("--upstream: %w", err)
	}
	defer func() { err = errors.Join(err, front.Close()) }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprint(streams.out, greeting(listener.Addr().String(), c.Upstream, tlsConfig != nil))
	return front.Serve(ctx, listener, server.Listening{TLS: tlsConfig, DrainTimeout: c.DrainTimeout})
}
