package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/openai-connect/openai-connect/server"
)

// serveCommand is the server's flags.
type serveCommand struct {
	Listen   string `help:"Address to listen on, HOST:PORT." default:"127.0.0.1:8080" placeholder:"ADDR"`
	Upstream string `help:"The proxied host: a base URL as the OpenAI SDKs take it, or 'sandbox', which is embedded and needs no key." default:"https://api.openai.com/v1" placeholder:"URL|sandbox"`

	TLSCert string `help:"Certificate chain to serve HTTPS with, a PEM file." type:"existingfile" placeholder:"FILE"`
	TLSKey  string `help:"The certificate's key, a PEM file." type:"existingfile" placeholder:"FILE"`

	ConnectTimeout        time.Duration `help:"Bound on connecting to the upstream." default:"10s"`
	ResponseHeaderTimeout time.Duration `help:"Bound on the wait for the upstream's response headers. A reasoning model may take many minutes." default:"30m"`
	DrainTimeout          time.Duration `help:"Bound on the time that calls have to end at a shutdown." default:"30s"`

	MaxMessageBytes int `help:"Largest request message of an RPC." default:"67108864"`
	MaxReplyBytes   int `help:"Largest answer of the upstream to a unary RPC." default:"67108864"`
	MaxEventBytes   int `help:"Largest event of the upstream's answer to a streaming RPC." default:"16777216"`

	LogLevel slog.Level `help:"Least level of what is logged: debug, info, warn or error." default:"info"`
}

// Validate is called by the parser.
func (c *serveCommand) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("--listen: %q is no HOST:PORT, such as 127.0.0.1:8080", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return fmt.Errorf("--tls-cert and --tls-key: one is of no use without the other")
	}
	for flag, d := range map[string]time.Duration{
		"connect-timeout": c.ConnectTimeout, "response-header-timeout": c.ResponseHeaderTimeout,
	} {
		if d <= 0 {
			return fmt.Errorf("--%s: %v is not more than 0", flag, d)
		}
	}
	if c.DrainTimeout < 0 {
		return fmt.Errorf("--drain-timeout: %v is less than 0", c.DrainTimeout)
	}
	for flag, n := range map[string]int{
		"max-message-bytes": c.MaxMessageBytes, "max-reply-bytes": c.MaxReplyBytes, "max-event-bytes": c.MaxEventBytes,
	} {
		if n <= 0 {
			return fmt.Errorf("--%s: %d is not more than 0", flag, n)
		}
	}
	return nil
}

// Run serves until ctx is done.
func (c *serveCommand) Run(ctx context.Context, streams streams) error {
	var listening server.Listening
	listening.DrainTimeout = c.DrainTimeout
	if c.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		listening.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	logger := slog.New(slog.NewTextHandler(streams.err, &slog.HandlerOptions{Level: c.LogLevel}))
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
	defer front.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprint(streams.out, greeting(listener.Addr().String(), c.Upstream, listening.TLS != nil))
	return front.Serve(ctx, listener, listening)
}
