package certificates

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/acmetest"
)

const (
	// longValidity requires no renewal, and shortValidity always requires one.
	longValidity  = 90 * 24 * time.Hour
	shortValidity = 10 * time.Minute
)

func TestACME_ObtainsCertificateWithEitherChallenge(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		reachable func(*acmetest.Authority, *site)
		change    func(*Config)
	}{
		{
			"HTTP-01, because port 443 is unreachable",
			func(a *acmetest.Authority, s *site) { a.HTTP.Open(s.http) }, nil,
		},
		{
			"TLS-ALPN-01, because port 80 is unreachable",
			func(a *acmetest.Authority, s *site) { a.TLS.Open(s.https) }, nil,
		},
		{
			"TLS-ALPN-01, without a listener for HTTP",
			func(a *acmetest.Authority, s *site) { a.TLS.Open(s.https) },
			func(c *Config) { c.HTTP = nil },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newEnvironment(t, longValidity)
			s := p.open(t, row.change)
			row.reachable(p.authority, s)
			if line := s.log.await(t, activeMessage); !strings.Contains(line, "domain="+s.domain) || !strings.Contains(line, "not_after=") || !strings.Contains(line, "Pebble") {
				t.Errorf("got log line %s", line)
			}
			conn, err := s.dial(t, s.domain)
			if err != nil {
				t.Fatal(err)
			}
			certificate := conn.ConnectionState().PeerCertificates[0]
			if !slices.Equal(certificate.DNSNames, []string{s.domain}) {
				t.Errorf("got a certificate for %q, want %q", certificate.DNSNames, s.domain)
			}
		})
	}
}

// newSite returns a site with an active certificate.
func newSite(t *testing.T, validity time.Duration, change func(*Config)) *site {
	t.Helper()
	p := newEnvironment(t, validity)
	s := p.open(t, change)
	p.openPorts(s)
	s.log.await(t, activeMessage)
	return s
}

func TestACME_Handshake(t *testing.T) {
	t.Parallel()
	s := newSite(t, longValidity, nil)
	for _, row := range []struct {
		name     string
		server   string
		offers   []string
		protocol string
		served   string // the HTTP/1.1 response, unless the protocol is HTTP/2
		wantErr  string
	}{
		{"with HTTP/1.1", s.domain, []string{"http/1.1"}, "http/1.1", "HTTP/1.1", ""},
		{"with HTTP/2 and HTTP/1.1", s.domain, []string{"http/1.1", "h2"}, "h2", "", ""},
		{"of a client without ALPN", s.domain, nil, "", "HTTP/1.1", ""},
		{"for the domain in upper case", strings.ToUpper(s.domain), []string{"http/1.1"}, "http/1.1", "HTTP/1.1", ""},
		{"for an unknown challenge", s.domain, []string{"acme-tls/1"}, "", "", "internal error"},
		{"for another domain", "www.example.com", []string{"h2"}, "", "", "internal error"},
		{"for another domain's challenge", "www.example.com", []string{"acme-tls/1"}, "", "", "internal error"},
		{"for the domain's parent", "example.com", []string{"h2"}, "", "", "internal error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn, err := s.dial(t, row.server, row.offers...)
			if row.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), row.wantErr) {
					t.Errorf("got error %v, want one that contains %q", err, row.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().NegotiatedProtocol; got != row.protocol {
				t.Errorf("got protocol %q, want %q", got, row.protocol)
			}
			if row.served == "" {
				return
			}
			s.ask(t, conn, row.served)
		})
	}
	t.Run("of a client without SNI", func(t *testing.T) {
		// Health checks of load balancers only have the address.
		conn, err := tls.Dial("tcp", s.https, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Equal(names, []string{s.domain}) {
			t.Errorf("got a certificate for %q, want %q", names, s.domain)
		}
	})
	t.Run("of TLS 1.1", func(t *testing.T) {
		conn, err := tls.Dial("tcp", s.https, &tls.Config{ServerName: s.domain, RootCAs: s.authority.Roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
		if err == nil {
			_ = conn.Close()
			t.Error("the handshake succeeded, want an error")
		}
	})
}

// ask sends a request on an HTTP/1.1 connection and checks the response.
func (s *site) ask(t *testing.T, conn *tls.Conn, want string) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s.domain); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body := make([]byte, response.ContentLength)
	if _, err := response.Body.Read(body); string(body) != want {
		t.Errorf("got response %q, error %v, want %q", body, err, want)
	}
}

func TestACME_ObtainsCertificateForEachDomain(t *testing.T) {
	t.Parallel()
	const other = "chat.example.org"
	s := newSite(t, longValidity, func(c *Config) { c.Domains = append(c.Domains, other) })
	s.log.await(t, activeMessage)
	for _, name := range []string{s.domain, other} {
		conn, err := s.dial(t, name)
		if err != nil {
			t.Fatal(err)
		}
		if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Equal(names, []string{name}) {
			t.Errorf("got a certificate for %q, want %s", names, name)
		}
	}
	if orders := s.authority.Orders(); orders != 2 {
		t.Errorf("got %d orders", orders)
	}
}

func TestACME_UsesStoredCertificateAfterRestart(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, longValidity)
	first := p.open(t, nil)
	p.openPorts(first)
	first.log.await(t, activeMessage)
	serial := first.serial(t)
	first.close()

	p.authority.Down() // The authority is not needed.
	second := p.open(t, nil)
	second.log.await(t, activeMessage)
	if again := second.serial(t); again != serial {
		t.Error("got a new certificate, want the stored one")
	}
	if orders := p.authority.Orders(); orders != 1 {
		t.Errorf("got %d orders", orders)
	}
}

func TestACME_StoresFilesForOwnerOnly(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, longValidity)
	s := p.open(t, nil)
	p.openPorts(s)
	s.log.await(t, activeMessage)
	keys := 0
	err := filepath.WalkDir(p.storage, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, _ := os.ReadFile(path)
		switch mode := info.Mode(); {
		case strings.Contains(string(text), "PRIVATE KEY"):
			keys++
			if mode != 0o600 {
				t.Errorf("%s: got mode %v", path, mode)
			}
		case entry.IsDir() && mode != fs.ModeDir|0o700:
			t.Errorf("%s: got mode %v", path, mode)
		}
		return nil
	})
	if err != nil || keys != 2 {
		t.Errorf("got %d private keys, error %v, want 2: of the account and the certificate", keys, err)
	}
}

func TestACME_NewConnectionsUseRenewedCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t, shortValidity, nil)
	old, err := s.dial(t, s.domain, "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, old, "HTTP/1.1")
	before := old.ConnectionState().PeerCertificates[0].SerialNumber.String()

	// The cache calls this every ten minutes.
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "certificate renewed")
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.serial(t) == before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("new connections use the old certificate")
		}
	}
	s.ask(t, old, "HTTP/1.1")
	if orders := s.authority.Orders(); orders != 2 {
		t.Errorf("got %d orders", orders)
	}
}

func TestACME_RenewsDueCertificateAtStart(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, shortValidity)
	first := p.open(t, nil)
	p.openPorts(first)
	first.log.await(t, activeMessage)
	serial := first.serial(t)
	first.close()

	second := p.open(t, nil)
	p.openPorts(second)
	second.log.await(t, "certificate renewed")
	second.log.await(t, activeMessage)
	if second.serial(t) == serial {
		t.Error("the certificate was not renewed")
	}
}

func TestACME_KeepsCertificateIfRenewalFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, shortValidity, nil)
	before := s.serial(t)
	s.authority.Down()
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line := s.log.await(t, "job failed"); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, s.domain) {
		t.Errorf("got log line %s", line)
	}
	if s.serial(t) != before {
		t.Error("got a new certificate, want the previous one")
	}
}

func TestACME_RetriesIfAuthorityIsUnavailable(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, longValidity)
	p.authority.Down()
	s := p.open(t, nil)
	p.openPorts(s)
	line := s.log.await(t, failedMessage)
	for _, text := range []string{"level=ERROR", "domain=" + s.domain, "retry_in=1ms", p.authority.Directory} {
		if !strings.Contains(line, text) {
			t.Errorf("got log line %s, want one that contains %s", line, text)
		}
	}
	if _, err := s.dial(t, s.domain); err == nil {
		t.Error("the handshake succeeded without a certificate")
	}
	p.authority.Up()
	s.log.await(t, activeMessage)
	s.serial(t)
}

func TestACME_RetriesIfDomainIsUnreachable(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, longValidity)
	s := p.open(t, nil)
	if line := s.log.await(t, failedMessage); !strings.Contains(line, "unauthorized") && !strings.Contains(line, "connection") {
		t.Errorf("got log line %s without the authority's reason", line)
	}
	p.openPorts(s)
	s.log.await(t, activeMessage)
}

func TestACME_RejectsUntrustedAuthority(t *testing.T) {
	t.Parallel()
	p := newEnvironment(t, longValidity)
	s := p.open(t, func(c *Config) { c.Roots = x509.NewCertPool() })
	if line := s.log.await(t, failedMessage); !strings.Contains(line, "unknown authority") {
		t.Errorf("got log line %s", line)
	}
}

func TestACME_DoesNotLogKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, shortValidity, nil)
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "certificate renewed")
	if log := s.log.rest(); strings.Contains(log, "PRIVATE") {
		t.Errorf("got a private key in the log: %s", log)
	}
}

func TestACME_RejectsUnwritableStorage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewACME(t.Context(), Config{Domains: []string{"api.example.com"}, Storage: filepath.Join(file, "directory")}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got error %v, want one that contains %s", err, file)
	}
}

func TestACME_BackoffGrows(t *testing.T) {
	t.Parallel()
	for failures, last := 0, time.Duration(0); failures < 100; failures++ {
		next := defaultBackoff(failures)
		if next < last || next <= 0 || next > time.Hour {
			t.Errorf("after %d failures: got backoff %v", failures, next)
		}
		last = next
	}
}
