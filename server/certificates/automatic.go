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

// LetsEncrypt is the directory of Let's Encrypt, whose certificates every
// client trusts.
const LetsEncrypt = certmagic.LetsEncryptProductionCA

// LetsEncryptStaging is that of its staging environment, to try things with:
// its limits are wide, and its certificates are trusted by nobody.
const LetsEncryptStaging = certmagic.LetsEncryptStagingCA

// challengeProtocol is what the authority speaks in a TLS-ALPN-01 challenge (RFC
// 8737, section 6.2): a handshake and no more. net/http closes connections of a
// protocol that it doesn't know.
const challengeProtocol = "acme-tls/1"

// Config configures [NewAutomatic].
type Config struct {
	// Domains are what certificates are got for, one each, as [ParseDomains]
	// returns them. A client that names no domain (without SNI) sees that of the
	// first.
	Domains []string

	// HTTPS is the address of the listener that is served with
	// [Automatic.TLS]. From outside, it has to be reachable as port 443 of the
	// domains.
	HTTPS net.Addr

	// HTTP is that of the listener that is served with [Automatic.Plain], as
	// port 80. Without it, which is nil, only the TLS-ALPN-01 challenge is
	// answered (RFC 8737), on HTTPS.
	HTTP net.Addr

	// Directory is the URL of the authority's directory, [LetsEncrypt] if it is
	// empty. Where that is used and an order fails, the next is tried out in its
	// staging environment first. To use an authority is to agree to its terms.
	Directory string

	// Email, unless empty, is where the authority writes to about problems.
	Email string

	// Roots, unless nil, are trusted for the directory in place of the
	// system's.
	Roots *x509.CertPool

	// Storage is the folder that keeps certificates, keys and the account from
	// one start to the next. It is made, with mode 0700, if it is missing. What
	// is in it is for its owner alone. Servers that share a folder share the
	// certificates.
	Storage string

	// Logger is told of certificates that come into force, and of those that
	// can't be got.
	Logger *slog.Logger

	// retry, unless nil, is how long to wait after a number of failures, for
	// tests.
	retry func(failures int) time.Duration
}

// Automatic gets certificates for domains and renews them when they have a
// third of their time left, or when the authority says so (RFC 9773).
type Automatic struct {
	domains []string
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	logger  *slog.Logger
	retry   func(failures int) time.Duration

	stop    context.CancelFunc
	running sync.WaitGroup
}

// NewAutomatic begins to get what isn't stored, in the background: the listeners
// have to be served soon after. It goes on until ctx is done, as domains are
// often pointed at a server after its start, and as a program that ended at a
// failure would be started again and again, up to the authority's limits. Its
// error is about the storage. The caller has to call [Automatic.Close].
func NewAutomatic(ctx context.Context, config Config) (*Automatic, error) {
	if err := probe(config.Storage); err != nil {
		return nil, err
	}
	a := &Automatic{domains: config.Domains, logger: config.Logger, retry: config.retry}
	if a.retry == nil {
		a.retry = wait
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
		OnEvent:           a.observe,
		ShouldEmitFunc:    func(event string) bool { return event == "cert_obtained" },
	})
	email := config.Email
	if email == "" {
		email = " " // Which is empty to an authority. Empty, certmagic asks for one on stdin.
	}
	a.issuer = certmagic.NewACMEIssuer(a.magic, certmagic.ACMEIssuer{
		CA:                   config.Directory,
		Email:                email,
		Agreed:               true,
		TrustedRoots:         config.Roots,
		DisableHTTPChallenge: config.HTTP == nil,
		Logger:               logger,
	})
	// Where these are not listened on, certmagic does so during a challenge.
	a.issuer.ListenHost, a.issuer.AltTLSALPNPort = split(config.HTTPS)
	if config.HTTP != nil {
		_, a.issuer.AltHTTPPort = split(config.HTTP)
	}
	a.magic.Issuers = []certmagic.Issuer{a.issuer}

	ctx, a.stop = context.WithCancel(ctx)
	for _, domain := range a.domains {
		a.running.Go(func() { a.obtain(ctx, domain) })
	}
	return a, nil
}

// Close ends what runs in the background.
func (a *Automatic) Close() {
	a.stop()
	a.running.Wait()
	a.cache.Stop()
}

// TLS returns what HTTPS is served with. There is no handshake for a domain that
// has no certificate yet, nor for one that isn't served here.
func (a *Automatic) TLS() *tls.Config {
	return serve(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "" && !slices.Contains(a.domains, strings.ToLower(hello.ServerName)) {
			return nil, fmt.Errorf("%q is not served here", hello.ServerName)
		}
		return a.magic.GetCertificate(hello)
	}, challengeProtocol)
}

// Plain returns the handler for HTTP without TLS. It answers challenges, and
// redirects requests for the domains, and for no other host, to HTTPS.
func (a *Automatic) Plain() http.Handler {
	return &plain{a.domains, a.issuer.HandleHTTPChallenge}
}

// obtain loads the certificate of a domain, or orders it until that succeeds.
// From then on the cache renews it.
func (a *Automatic) obtain(ctx context.Context, domain string) {
	for failures := 0; ; failures++ {
		attempt := context.WithValue(ctx, certmagic.AttemptsCtxKey, &failures)
		err := a.magic.ManageSync(attempt, []string{domain})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			for _, certificate := range a.cache.AllMatchingCertificates(domain) {
				a.logger.Info("the certificate is in force", "domain", domain, "not_after", certificate.Leaf.NotAfter, "issuer", certificate.Leaf.Issuer.CommonName)
			}
			return
		}
		again := a.retry(failures)
		a.logger.Error("the certificate can't be got", "domain", domain, "error", err, "again_in", again)
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// observe is told that certificates were obtained.
func (a *Automatic) observe(_ context.Context, _ string, data map[string]any) error {
	if renewal, _ := data["renewal"].(bool); renewal {
		a.logger.Info("the certificate was renewed", "domain", data["identifier"])
	}
	return nil
}

// wait is how long to wait after a number of failures. The first of them may be
// that the network isn't up yet. Let's Encrypt allows five that are due to the
// domain in an hour.
func wait(failures int) time.Duration {
	waits := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 40 * time.Minute}
	if failures < len(waits) {
		return waits[failures]
	}
	return time.Hour
}

// probe makes the folder if it is missing, and checks that it can be written to.
func probe(folder string) error {
	const ownerOnly = 0o700
	if err := os.MkdirAll(folder, ownerOnly); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, ".probe-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// split returns the host and the port of a TCP address.
func split(address net.Addr) (string, int) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	if tcp.IP.IsUnspecified() {
		return "", tcp.Port
	}
	return tcp.IP.String(), tcp.Port
}
