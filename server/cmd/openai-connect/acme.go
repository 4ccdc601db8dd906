package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/certificates"
)

// acmeSite holds the certificates of domains, and the listener for plain HTTP.
type acmeSite struct {
	*certificates.ACME

	domain, directory string
	plain             net.Listener // nil if --http-listen is empty
}

// newACMESite starts to obtain certificates for the listener of HTTPS. It returns nil
// without --domain.
func (f *httpsFlags) newACMESite(ctx context.Context, https net.Addr, logger *slog.Logger) (s *acmeSite, err error) {
	if f.Domain == nil {
		return nil, nil //nolint:nilnil // as documented
	}
	domains, err := certificates.ParseDomains(f.Domain)
	if err != nil {
		return nil, fmt.Errorf("--domain: %w", err)
	}
	config := certificates.Config{Domains: domains, HTTPS: https, Directory: f.ACMEDirectory, Email: f.ACMEEmail, Logger: logger}
	if config.Roots, err = readRoots(f.ACMECA); err != nil {
		return nil, fmt.Errorf("--acme-ca: %w", err)
	}
	if config.Storage, err = f.storage(); err != nil {
		return nil, fmt.Errorf("--certificate-dir: %w", err)
	}
	s = &acmeSite{domain: domains[0], directory: config.Storage}
	if address := f.plainAddress(); address != "" {
		if s.plain, err = listenOn(ctx, address); err != nil {
			return nil, fmt.Errorf("--http-listen: %w", err)
		}
		config.HTTP = s.plain.Addr()
	}
	if s.ACME, err = certificates.NewACME(ctx, config); err != nil {
		if s.plain != nil {
			err = errors.Join(err, s.plain.Close())
		}
		return nil, fmt.Errorf("--certificate-dir: %w", err)
	}
	return s, nil
}

// plainAddress returns the address of the plain HTTP listener, empty for none.
func (f *httpsFlags) plainAddress() string {
	if f.HTTPListen != nil {
		return *f.HTTPListen
	}
	return ":80"
}

// storage returns the directory of certificates.
func (f *httpsFlags) storage() (string, error) {
	if f.CertificateDir != "" {
		return f.CertificateDir, nil
	}
	if given := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(given) > 0 { // systemd.exec(5)
		return given[0], nil
	}
	user, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("name a directory: %w", err)
	}
	return filepath.Join(user, "openai-connect"), nil
}

// address returns the domain with the port of the HTTPS listener.
func (s *acmeSite) address(https net.Addr) string {
	_, port, err := net.SplitHostPort(https.String())
	if err != nil {
		return https.String()
	}
	return net.JoinHostPort(s.domain, port)
}

// serve serves plain HTTP until ctx is done. It lets requests in progress finish.
func (s *acmeSite) serve(ctx context.Context, drain time.Duration, logger *slog.Logger) error {
	if s.plain == nil {
		<-ctx.Done()
		return nil
	}
	const (
		timeout   = 10 * time.Second // Requests and responses are small.
		maxHeader = 16 << 10
	)
	plain := &http.Server{
		Handler:           s.RedirectHandler(),
		ReadHeaderTimeout: timeout,
		ReadTimeout:       timeout,
		WriteTimeout:      timeout,
		IdleTimeout:       timeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true,
	}
	failed := make(chan error, 1)
	go func() { failed <- plain.Serve(s.plain) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := plain.Shutdown(drained)
	if err != nil {
		err = plain.Close()
	}
	<-failed //nolint:errcheck // http.ErrServerClosed
	return err
}

// serveWith serves front, and plain HTTP if s is not nil, until ctx is done or one of
// them fails.
func serveWith(ctx context.Context, front *server.Server, listener net.Listener, config server.ServeConfig, s *acmeSite, logger *slog.Logger) error {
	if s == nil {
		return front.Serve(ctx, listener, config)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- s.serve(ctx, config.DrainTimeout, logger)
	}()
	err := front.Serve(ctx, listener, config)
	cancel()
	return errors.Join(err, <-served)
}
