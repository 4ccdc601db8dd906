package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// LetsEncrypt is the directory URL of Let's Encrypt, whose certificates every client
// trusts.
const LetsEncrypt = certmagic.LetsEncryptProductionCA

// LetsEncryptStaging is the directory URL of its staging environment, for tests. It has
// generous limits, and no client trusts its certificates.
const LetsEncryptStaging = certmagic.LetsEncryptStagingCA

// challengeProtocol is the protocol of a TLS-ALPN-01 challenge (RFC 8737 §6.2). It has
// a handshake and nothing else. net/http closes connections of unknown protocols.
const challengeProtocol = "acme-tls/1"

// Config configures [NewACME].
type Config struct {
	// Domains are the domains to obtain certificates for, one each, as returned by
	// [ParseDomains]. A client without SNI sees the certificate of the first.
	Domains []string

	// HTTPS is the address of the listener that serves with [ACME.TLS]. It must be
	// reachable from outside as port 443 of the domains.
	HTTPS net.Addr

	// HTTP is the address of the listener that serves with [ACME.RedirectHandler],
	// reachable as port 80. If it is nil, only the TLS-ALPN-01 challenge is answered
	// (RFC 8737), on HTTPS.
	HTTP net.Addr

	// Directory is the URL of the certificate authority's directory. Empty means
	// [LetsEncrypt]; an order that failed there is then retried in its staging
	// environment first. Using an authority means agreeing to its terms.
	Directory string

	// Email, unless empty, is the address to which the authority reports problems.
	Email string

	// Roots, unless nil, replaces the system's roots for the directory.
	Roots *x509.CertPool

	// Storage is the directory that keeps certificates, keys and the account. It is
	// created with mode 0700 if it is missing, and only its owner may read its files.
	// Servers that share a directory share the certificates.
	Storage string

	// Logger logs certificates that become active and failures to obtain them.
	Logger *slog.Logger

	// backoff, unless nil, returns the wait after a number of failures in a test.
	backoff func(failures int) time.Duration
}

// ACME obtains certificates for domains and renews them when a third of their lifetime
// is left, or when the authority suggests it (RFC 9773).
type ACME struct {
	domains []string
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	logger  *slog.Logger
	backoff func(failures int) time.Duration

	stop    context.CancelFunc
	running sync.WaitGroup
}

// NewACME starts to obtain the certificates that are not in storage, in the background.
// The listeners must be served soon afterwards. It retries until ctx is done: domains
// are often pointed at a server after its start, and a program that exited on failure
// would be restarted until it reached the authority's limits. The error is about the
// storage. The caller must call [ACME.Close].
func NewACME(ctx context.Context, config Config) (*ACME, error) {
	if err := checkStorage(config.Storage); err != nil {
		return nil, err
	}
	a := &ACME{domains: config.Domains, logger: config.Logger, backoff: config.backoff}
	if a.backoff == nil {
		a.backoff = defaultBackoff
	}
	logger := newLogger(config.Logger)
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		Logger:           logger,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		DefaultServerName: config.Domains[0],
		Storage:           &certmagic.FileStorage{Path: config.Storage},
		Logger:            logger,
		OnEvent:           a.logEvent,
		ShouldEmitFunc:    func(event string) bool { return event == "cert_obtained" },
	})
	email := config.Email
	if email == "" {
		email = " " // The authority takes it for empty. For "", certmagic prompts on stdin.
	}
	a.issuer = certmagic.NewACMEIssuer(a.magic, certmagic.ACMEIssuer{
		CA:                   config.Directory,
		Email:                email,
		Agreed:               true,
		TrustedRoots:         config.Roots,
		DisableHTTPChallenge: config.HTTP == nil,
		Logger:               logger,
	})
	// certmagic listens on these addresses during a challenge if nobody else does.
	a.issuer.ListenHost, a.issuer.AltTLSALPNPort = splitAddr(config.HTTPS)
	if config.HTTP != nil {
		_, a.issuer.AltHTTPPort = splitAddr(config.HTTP)
	}
	a.magic.Issuers = []certmagic.Issuer{a.issuer}

	ctx, a.stop = context.WithCancel(ctx)
	for _, domain := range a.domains {
		a.running.Go(func() { a.obtain(ctx, domain) })
	}
	return a, nil
}

// Close stops the background work.
func (a *ACME) Close() {
	a.stop()
	a.running.Wait()
	a.cache.Stop()
}

// TLS returns the configuration for HTTPS. Handshakes fail for a domain without a
// certificate, and for other domains.
func (a *ACME) TLS() *tls.Config {
	return newTLSConfig(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "" && !slices.Contains(a.domains, strings.ToLower(hello.ServerName)) {
			return nil, fmt.Errorf("unknown domain %q", hello.ServerName)
		}
		return a.magic.GetCertificate(hello)
	}, challengeProtocol)
}

// RedirectHandler returns the handler for HTTP without TLS. It answers challenges, and
// redirects requests for the domains to HTTPS.
func (a *ACME) RedirectHandler() http.Handler {
	return &redirectHandler{a.domains, a.issuer.HandleHTTPChallenge}
}

// obtain loads the certificate of a domain, or orders one until that succeeds. The
// cache renews it from then on.
func (a *ACME) obtain(ctx context.Context, domain string) {
	for failures := 0; ; failures++ {
		attempt := context.WithValue(ctx, certmagic.AttemptsCtxKey, &failures)
		err := a.magic.ManageSync(attempt, []string{domain})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			for _, certificate := range a.cache.AllMatchingCertificates(domain) {
				a.logger.Info("certificate active", "domain", domain, "not_after", certificate.Leaf.NotAfter, "issuer", certificate.Leaf.Issuer.CommonName)
			}
			return
		}
		wait := a.backoff(failures)
		a.logger.Error("failed to obtain certificate", "domain", domain, "error", err, "retry_in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// logEvent logs renewals.
func (a *ACME) logEvent(_ context.Context, _ string, data map[string]any) error {
	if renewal, _ := data["renewal"].(bool); renewal {
		a.logger.Info("certificate renewed", "domain", data["identifier"])
	}
	return nil
}

// defaultBackoff returns the wait after a number of failures. The first failure may be
// a network that is not up yet. Let's Encrypt allows five failures of a domain per hour.
func defaultBackoff(failures int) time.Duration {
	waits := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 40 * time.Minute}
	if failures < len(waits) {
		return waits[failures]
	}
	return time.Hour
}

// checkStorage creates the directory if it is missing, and checks that it is writable.
func checkStorage(dir string) error {
	const ownerOnly = 0o700
	if err := os.MkdirAll(dir, ownerOnly); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// splitAddr returns the host and the port of a TCP address.
func splitAddr(address net.Addr) (string, int) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	if tcp.IP.IsUnspecified() {
		return "", tcp.Port
	}
	return tcp.IP.String(), tcp.Port
}
