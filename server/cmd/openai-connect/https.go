package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"strings"

	"github.com/openai-connect/openai-connect/server/certificates"
)

// httpsFlags configure HTTPS, with a given certificate or with one that is obtained
// for a domain.
type httpsFlags struct {
	TLSCert string `help:"PEM file with the certificate chain for HTTPS. It is reloaded when it changes." placeholder:"FILE"`
	TLSKey  string `help:"PEM file with the key of --tls-cert." placeholder:"FILE"`

	Domain         []string `help:"Domains to serve HTTPS for. Certificates are obtained and renewed with ACME. By using this flag you accept the terms of the certificate authority, Let's Encrypt by default." placeholder:"NAME"`
	HTTPListen     *string  `help:"Address of the plain HTTP listener, which answers ACME challenges and redirects to HTTPS. Port 80 of the domain must lead to it. Empty disables it. Requires --domain. Default: :80." placeholder:"ADDRESS"`
	ACMEDirectory  string   `help:"URL of the certificate authority's ACME directory. Let's Encrypt's staging environment is https://acme-staging-v02.api.letsencrypt.org/directory. Requires --domain. Default: Let's Encrypt." placeholder:"URL"`
	ACMEEmail      string   `help:"Address that the certificate authority writes to about problems. Requires --domain." placeholder:"ADDRESS"`
	ACMECA         string   `name:"acme-ca" help:"PEM file of root certificates to trust for the ACME directory, in addition to the system's. Requires --domain." placeholder:"FILE"`
	CertificateDir string   `help:"Directory of obtained certificates. Requires --domain. Default: systemd's $$STATE_DIRECTORY, or openai-connect in your configuration directory." placeholder:"DIRECTORY"`
}

// check returns an error if a value is invalid.
func (f *httpsFlags) check() error {
	if f.Domain == nil {
		return nil
	}
	domains, err := certificates.ParseDomains(f.Domain)
	if err != nil {
		return fmt.Errorf("--domain: %w", err)
	}
	for _, domain := range domains {
		if f.ACMEDirectory == "" && !strings.Contains(domain, ".") {
			return fmt.Errorf("--domain: %q is not a public name such as api.example.com: set --acme-directory to use an authority of your own", domain)
		}
	}
	if f.HTTPListen != nil && *f.HTTPListen != "" {
		if _, _, err := net.SplitHostPort(*f.HTTPListen); err != nil {
			return fmt.Errorf("--http-listen: invalid address %q: want HOST:PORT, such as :80", *f.HTTPListen)
		}
	}
	if err := f.checkDirectory(); err != nil {
		return fmt.Errorf("--acme-directory: %w", err)
	}
	if address, err := mail.ParseAddress(f.ACMEEmail); f.ACMEEmail != "" && (err != nil || address.Address != f.ACMEEmail) {
		return fmt.Errorf("--acme-email: invalid address %q: want one such as me@example.com", f.ACMEEmail)
	}
	return nil
}

// checkDirectory returns an error if the URL of the ACME directory is invalid.
func (f *httpsFlags) checkDirectory() error {
	if f.ACMEDirectory == "" {
		return nil
	}
	directory, err := url.Parse(f.ACMEDirectory)
	switch {
	case err == nil && directory.User != nil:
		return errors.New("the URL has a user name or a password, which ACME does not use: remove what precedes the @")
	case err != nil || directory.Scheme != "https" || directory.Hostname() == "":
		return fmt.Errorf("invalid URL %q: RFC 8555 requires https://", f.ACMEDirectory)
	case strings.Contains(directory.Host, ","):
		return fmt.Errorf("%q has several hosts: want one", f.ACMEDirectory)
	case strings.Contains(f.ACMEDirectory, "#"):
		return fmt.Errorf("%q has a fragment: remove the # and what follows", f.ACMEDirectory)
	}
	return nil
}

// files returns the TLS configuration with the given certificate, or nil if there is
// none.
func (f *httpsFlags) files(logger *slog.Logger) (*tls.Config, error) {
	if f.TLSCert == "" {
		return nil, nil //nolint:nilnil // as documented
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
