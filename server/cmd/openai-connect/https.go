package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/certificates"
)

// httpsFlags are what HTTPS is served with: a certificate of one's own, or
// domains to get certificates for.
type httpsFlags struct {
	TLSCert string `help:"Certificate chain to serve HTTPS with, a PEM file. It is read again when it changes." placeholder:"FILE"`
	TLSKey  string `help:"The certificate's key, a PEM file." placeholder:"FILE"`

	Domain         []string `help:"Domains to serve HTTPS for, with certificates that are got and renewed automatically, by ACME. Using it, you agree to the terms of the authority, Let's Encrypt by default." placeholder:"NAME"`
	HTTPListen     *string  `help:"With --domain: address of plain HTTP, which answers the authority's challenges and redirects to HTTPS; ':80' by default, empty for none. Port 80 of the domain has to lead to it." placeholder:"ADDRESS"`
	ACMEDirectory  string   `help:"With --domain: the ACME authority's directory, Let's Encrypt by default. To try things, its staging: https://acme-staging-v02.api.letsencrypt.org/directory" placeholder:"URL"`
	ACMEEmail      string   `help:"With --domain: where the authority writes to about problems." placeholder:"ADDRESS"`
	ACMECA         string   `name:"acme-ca" help:"With --domain: roots to trust for the authority's directory beside the system's, a PEM file." placeholder:"FILE"`
	CertificateDir string   `help:"With --domain: folder to keep certificates in. By default systemd's $$STATE_DIRECTORY, or 'openai-connect' in your configuration folder." placeholder:"FOLDER"`
}

// check says what is wrong with the flags' values.
func (f *httpsFlags) check() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key: one is of no use without the other: give both")
	}
	if f.Domain == nil {
		for _, flag := range []struct {
			name  string
			given bool
		}{
			{"http-listen", f.HTTPListen != nil},
			{"acme-directory", f.ACMEDirectory != ""},
			{"acme-email", f.ACMEEmail != ""},
			{"acme-ca", f.ACMECA != ""},
			{"certificate-dir", f.CertificateDir != ""},
		} {
			if flag.given {
				return fmt.Errorf("--%s: is of no use without --domain", flag.name)
			}
		}
		return nil
	}
	if f.TLSCert != "" {
		return errors.New("--domain and --tls-cert: the one gets certificates, the other brings one: choose one")
	}
	domains, err := certificates.ParseDomains(f.Domain)
	if err != nil {
		return fmt.Errorf("--domain: %w", err)
	}
	for _, domain := range domains {
		if f.ACMEDirectory == "" && !strings.Contains(domain, ".") {
			return fmt.Errorf("--domain: %q is no name of the public Internet, such as api.example.com: an authority of your own is named by --acme-directory", domain)
		}
	}
	if f.HTTPListen != nil && *f.HTTPListen != "" {
		if _, _, err := net.SplitHostPort(*f.HTTPListen); err != nil {
			return fmt.Errorf("--http-listen: %q is no HOST:PORT, such as :80", *f.HTTPListen)
		}
	}
	if err := f.checkDirectory(); err != nil {
		return fmt.Errorf("--acme-directory: %w", err)
	}
	if address, err := mail.ParseAddress(f.ACMEEmail); f.ACMEEmail != "" && (err != nil || address.Address != f.ACMEEmail) {
		return fmt.Errorf("--acme-email: %q is no address, such as me@example.com", f.ACMEEmail)
	}
	return nil
}

// checkDirectory says what is wrong with the URL of the ACME directory.
func (f *httpsFlags) checkDirectory() error {
	if f.ACMEDirectory == "" {
		return nil
	}
	directory, err := url.Parse(f.ACMEDirectory)
	switch {
	case err == nil && directory.User != nil:
		return errors.New("it has a user name or a password, which ACME has no use for: remove what stands before the @")
	case err != nil || directory.Scheme != "https" || directory.Hostname() == "":
		return fmt.Errorf("%q is no https:// URL, which RFC 8555 wants", f.ACMEDirectory)
	case strings.Contains(directory.Host, ","):
		return fmt.Errorf("%q names several hosts: name one", f.ACMEDirectory)
	case strings.Contains(f.ACMEDirectory, "#"):
		return fmt.Errorf("%q has a fragment: remove the # and what follows", f.ACMEDirectory)
	}
	return nil
}

// files returns what HTTPS is served with where one brings a certificate, and
// otherwise nil.
func (f *httpsFlags) files(logger *slog.Logger) (*tls.Config, error) {
	if f.TLSCert == "" {
		return nil, nil //nolint:nilnil // that is HTTP without TLS, or with that of domains
	}
	files, err := certificates.NewFiles(f.TLSCert, f.TLSKey, logger)
	if err == nil {
		return files.TLS(), nil
	}
	flags := "--tls-cert and --tls-key"
	if missing, ok := errors.AsType[*fs.PathError](err); ok && missing.Path == f.TLSCert {
		flags = "--tls-cert"
	} else if ok {
		flags = "--tls-key"
	}
	return nil, fmt.Errorf("%s: %w", flags, err)
}

// site is what domains have beside the listener for HTTPS.
type site struct {
	*certificates.Automatic

	domain, folder string
	plain          net.Listener // nil if HTTP isn't listened on
}

// site begins to get certificates, which the listener is to be served with. It
// returns nil without domains.
func (f *httpsFlags) site(ctx context.Context, https net.Addr, logger *slog.Logger) (s *site, err error) {
	if f.Domain == nil {
		return nil, nil //nolint:nilnil // as said
	}
	domains, err := certificates.ParseDomains(f.Domain)
	if err != nil {
		return nil, fmt.Errorf("--domain: %w", err)
	}
	config := certificates.Config{Domains: domains, HTTPS: https, Directory: f.ACMEDirectory, Email: f.ACMEEmail, Logger: logger}
	if config.Roots, err = rootsWith(f.ACMECA); err != nil {
		return nil, fmt.Errorf("--acme-ca: %w", err)
	}
	if config.Storage, err = f.folder(); err != nil {
		return nil, fmt.Errorf("--certificate-dir: %w", err)
	}
	s = &site{domain: domains[0], folder: config.Storage}
	address := ":80"
	if f.HTTPListen != nil {
		address = *f.HTTPListen
	}
	if address != "" {
		if s.plain, err = listenOn(ctx, address); err != nil {
			return nil, fmt.Errorf("--http-listen: %w", err)
		}
		config.HTTP = s.plain.Addr()
	}
	if s.Automatic, err = certificates.NewAutomatic(ctx, config); err != nil {
		if s.plain != nil {
			err = errors.Join(err, s.plain.Close())
		}
		return nil, fmt.Errorf("--certificate-dir: %w", err)
	}
	return s, nil
}

// folder is where certificates are kept.
func (f *httpsFlags) folder() (string, error) {
	if f.CertificateDir != "" {
		return f.CertificateDir, nil
	}
	if given := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(given) > 0 { // systemd.exec(5)
		return given[0], nil
	}
	user, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("name a folder: %w", err)
	}
	return filepath.Join(user, "openai-connect"), nil
}

// address is how clients name the server: by the domain, and the port.
func (s *site) address(https net.Addr) string {
	_, port, err := net.SplitHostPort(https.String())
	if err != nil {
		return https.String()
	}
	return net.JoinHostPort(s.domain, port)
}

// serve serves HTTP without TLS until ctx is done, and lets requests end.
func (s *site) serve(ctx context.Context, drain time.Duration, logger *slog.Logger) error {
	if s.plain == nil {
		<-ctx.Done()
		return nil
	}
	const (
		patience  = 10 * time.Second // There is little to say, either way.
		maxHeader = 16 << 10
	)
	plain := &http.Server{
		Handler:           s.Plain(),
		ReadHeaderTimeout: patience,
		ReadTimeout:       patience,
		WriteTimeout:      patience,
		IdleTimeout:       patience,
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

// serveWith serves the front, and the site if there is one, until ctx is done or
// one of them fails.
func serveWith(ctx context.Context, front *server.Server, listener net.Listener, config server.ServeConfig, s *site, logger *slog.Logger) error {
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
