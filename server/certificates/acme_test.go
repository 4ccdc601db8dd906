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
	// long is a validity that asks for no renewal, short one that always does.
	long  = 90 * 24 * time.Hour
	short = 10 * time.Minute
)

func TestACertificateIsGotByEitherChallengeAlone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		reachable func(*acmetest.Authority, *site)
		change    func(*Config)
	}{
		{
			"HTTP-01, as port 443 can't be reached",
			func(a *acmetest.Authority, s *site) { a.HTTP.Open(s.http) }, nil,
		},
		{
			"TLS-ALPN-01, as port 80 can't be reached",
			func(a *acmetest.Authority, s *site) { a.TLS.Open(s.https) }, nil,
		},
		{
			"TLS-ALPN-01, as there is no listener for HTTP",
			func(a *acmetest.Authority, s *site) { a.TLS.Open(s.https) },
			func(c *Config) { c.HTTP = nil },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, long)
			s := p.open(t, row.change)
			row.reachable(p.authority, s)
			if line := s.log.await(t, inForce); !strings.Contains(line, "domain="+s.domain) || !strings.Contains(line, "not_after=") || !strings.Contains(line, "Pebble") {
				t.Errorf("it logged %s", line)
			}
			conn, err := s.dial(t, s.domain)
			if err != nil {
				t.Fatal(err)
			}
			certificate := conn.ConnectionState().PeerCertificates[0]
			if !slices.Equal(certificate.DNSNames, []string{s.domain}) {
				t.Errorf("the certificate is for %q", certificate.DNSNames)
			}
		})
	}
}

// got is a site that has its certificate.
func got(t *testing.T, validity time.Duration, change func(*Config)) *site {
	t.Helper()
	p := newPlace(t, validity)
	s := p.open(t, change)
	p.reach(s)
	s.log.await(t, inForce)
	return s
}

func TestAHandshake(t *testing.T) {
	t.Parallel()
	s := got(t, long, nil)
	for _, row := range []struct {
		name      string
		server    string
		offers    []string
		protocol  string
		served    string // by HTTP/1.1, where that is spoken
		unlikable string // the error, where there is one
	}{
		{"by HTTP/1.1", s.domain, []string{"http/1.1"}, "http/1.1", "HTTP/1.1", ""},
		{"prefers HTTP/2", s.domain, []string{"http/1.1", "h2"}, "h2", "", ""},
		{"of a client without ALPN", s.domain, nil, "", "HTTP/1.1", ""},
		{"for the domain in upper case", strings.ToUpper(s.domain), []string{"http/1.1"}, "http/1.1", "HTTP/1.1", ""},
		{"for a challenge that there is not", s.domain, []string{"acme-tls/1"}, "", "", "internal error"},
		{"for another domain", "www.example.com", []string{"h2"}, "", "", "internal error"},
		{"for another domain's challenge", "www.example.com", []string{"acme-tls/1"}, "", "", "internal error"},
		{"for the domain's parent", "example.com", []string{"h2"}, "", "", "internal error"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conn, err := s.dial(t, row.server, row.offers...)
			if row.unlikable != "" {
				if err == nil || !strings.Contains(err.Error(), row.unlikable) {
					t.Errorf("it ends with %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().NegotiatedProtocol; got != row.protocol {
				t.Errorf("the protocol is %q", got)
			}
			if row.served == "" {
				return
			}
			s.ask(t, conn, row.served)
		})
	}
	t.Run("of a client that names no domain", func(t *testing.T) {
		// As a load balancer's check does, which knows the address alone.
		conn, err := tls.Dial("tcp", s.https, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Equal(names, []string{s.domain}) {
			t.Errorf("the certificate is for %q", names)
		}
	})
	t.Run("of TLS 1.1", func(t *testing.T) {
		conn, err := tls.Dial("tcp", s.https, &tls.Config{ServerName: s.domain, RootCAs: s.authority.Roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
		if err == nil {
			_ = conn.Close()
			t.Error("it succeeds")
		}
	})
}

// ask sends a request on a connection of HTTP/1.1 and checks the answer.
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
		t.Errorf("it is served %q and %v", body, err)
	}
}

func TestEachDomainHasACertificate(t *testing.T) {
	t.Parallel()
	const other = "chat.example.org"
	s := got(t, long, func(c *Config) { c.Domains = append(c.Domains, other) })
	s.log.await(t, inForce)
	for _, name := range []string{s.domain, other} {
		conn, err := s.dial(t, name)
		if err != nil {
			t.Fatal(err)
		}
		if names := conn.ConnectionState().PeerCertificates[0].DNSNames; !slices.Equal(names, []string{name}) {
			t.Errorf("the certificate for %s is for %q", name, names)
		}
	}
	if orders := s.authority.Orders(); orders != 2 {
		t.Errorf("%d were ordered", orders)
	}
}

func TestARestartUsesWhatIsStored(t *testing.T) {
	t.Parallel()
	p := newPlace(t, long)
	first := p.open(t, nil)
	p.reach(first)
	first.log.await(t, inForce)
	serial := first.serial(t)
	first.close()

	p.authority.Down() // Not even the authority is needed.
	second := p.open(t, nil)
	second.log.await(t, inForce)
	if again := second.serial(t); again != serial {
		t.Errorf("the certificate is another one")
	}
	if orders := p.authority.Orders(); orders != 1 {
		t.Errorf("%d were ordered", orders)
	}
}

func TestWhatIsStoredIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, long)
	s := p.open(t, nil)
	p.reach(s)
	s.log.await(t, inForce)
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
				t.Errorf("%s is %v", path, mode)
			}
		case entry.IsDir() && mode != fs.ModeDir|0o700:
			t.Errorf("%s is %v", path, mode)
		}
		return nil
	})
	if err != nil || keys != 2 {
		t.Errorf("%d keys are there, not that of the account and that of the certificate: %v", keys, err)
	}
}

func TestARenewalIsSeenByNewConnectionsAndKeepsOldOnes(t *testing.T) {
	t.Parallel()
	s := got(t, short, nil)
	old, err := s.dial(t, s.domain, "http/1.1")
	if err != nil {
		t.Fatal(err)
	}
	s.ask(t, old, "HTTP/1.1")
	before := old.ConnectionState().PeerCertificates[0].SerialNumber.String()

	// What the cache does every ten minutes.
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "certificate renewed")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.serial(t) == before {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("new connections see the old certificate")
		}
	}
	s.ask(t, old, "HTTP/1.1")
	if orders := s.authority.Orders(); orders != 2 {
		t.Errorf("%d were ordered", orders)
	}
}

func TestACertificateThatIsDueAtAStartIsRenewed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, short)
	first := p.open(t, nil)
	p.reach(first)
	first.log.await(t, inForce)
	serial := first.serial(t)
	first.close()

	second := p.open(t, nil)
	p.reach(second)
	second.log.await(t, "certificate renewed")
	second.log.await(t, inForce)
	if second.serial(t) == serial {
		t.Error("it is not")
	}
}

func TestARenewalThatFailsIsLoggedAndKeepsTheOld(t *testing.T) {
	t.Parallel()
	s := got(t, short, nil)
	before := s.serial(t)
	s.authority.Down()
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line := s.log.await(t, "job failed"); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, s.domain) {
		t.Errorf("it logged %s", line)
	}
	if s.serial(t) != before {
		t.Error("the certificate is another one")
	}
}

func TestAnAuthorityThatIsDownAtTheStartIsAskedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, long)
	p.authority.Down()
	s := p.open(t, nil)
	p.reach(s)
	line := s.log.await(t, cannotBeGot)
	for _, text := range []string{"level=ERROR", "domain=" + s.domain, "retry_in=1ms", p.authority.Directory} {
		if !strings.Contains(line, text) {
			t.Errorf("it logged %s, without %s", line, text)
		}
	}
	if _, err := s.dial(t, s.domain); err == nil {
		t.Error("there is a certificate")
	}
	p.authority.Up()
	s.log.await(t, inForce)
	s.serial(t)
}

func TestADomainThatIsNotPointedHereYetIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, long)
	s := p.open(t, nil)
	if line := s.log.await(t, cannotBeGot); !strings.Contains(line, "unauthorized") && !strings.Contains(line, "connection") {
		t.Errorf("it logged %s, without the authority's reason", line)
	}
	p.reach(s)
	s.log.await(t, inForce)
}

func TestAnAuthorityThatIsNotTrustedIsNotUsed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, long)
	s := p.open(t, func(c *Config) { c.Roots = x509.NewCertPool() })
	if line := s.log.await(t, cannotBeGot); !strings.Contains(line, "unknown authority") {
		t.Errorf("it logged %s", line)
	}
}

func TestKeysAreNotLogged(t *testing.T) {
	t.Parallel()
	s := got(t, short, nil)
	if err := s.cache.RenewManagedCertificates(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, "certificate renewed")
	if log := s.log.rest(); strings.Contains(log, "PRIVATE") {
		t.Errorf("it logged %s", log)
	}
}

func TestAFolderThatCannotBeWrittenToIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewACME(t.Context(), Config{Domains: []string{"api.example.com"}, Storage: filepath.Join(file, "folder")}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("it says %v", err)
	}
}

func TestTheWaitGrows(t *testing.T) {
	t.Parallel()
	for failures, last := 0, time.Duration(0); failures < 100; failures++ {
		next := defaultBackoff(failures)
		if next < last || next <= 0 || next > time.Hour {
			t.Errorf("after %d failures it is %v", failures, next)
		}
		last = next
	}
}
