package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/acmetest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

const (
	domain   = "api.example.com"
	validity = 90 * 24 * time.Hour
)

// domainProcess is the command with a domain.
type domainProcess struct {
	*process

	roots       *x509.CertPool
	https, http string // addresses
}

var redirecting = regexp.MustCompile(`http://(\S+) redirects\n`)

// startDomain runs the command with a domain, which the authority can reach.
// Certificates are kept in the directory.
func startDomain(t *testing.T, authority *acmetest.Authority, directory string, arguments ...string) *domainProcess {
	t.Helper()
	trusted := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(trusted, authority.APIRootsPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &domainProcess{roots: authority.Roots}
	p.process = start(t, []string{"STATE_DIRECTORY=" + directory}, append([]string{
		"--upstream", "sandbox", "--domain", domain, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--acme-directory", authority.Directory, "--acme-ca", trusted, "--acme-email", "me@example.com",
	}, arguments...)...)
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.https = net.JoinHostPort("127.0.0.1", port)
	authority.TLS.Open(p.https)
	if match := redirecting.FindStringSubmatch(p.banner); match != nil {
		p.http = match[1]
		authority.HTTP.Open(p.http)
	}
	return p
}

// certificate waits for a certificate and returns it, as seen by a new connection.
func (p *domainProcess) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	return seen(t, p.https, &tls.Config{ServerName: domain, RootCAs: p.roots}, func(*x509.Certificate) bool { return true })
}

// seen connects again and again until there is a handshake with a certificate
// that is wanted.
func seen(t *testing.T, address string, config *tls.Config, wanted func(*x509.Certificate) bool) *x509.Certificate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
		if err == nil {
			certificate := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
			_ = conn.Close()
			if wanted(certificate) {
				return certificate
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("no certificate became active: %v", err)
		}
	}
}

// transport speaks a version of HTTP to the process by its domain.
func (p *domainProcess) transport(t *testing.T, version int) *http.Transport {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetHTTP2(version == 2)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: p.roots},
		Protocols:       protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":80") {
				return new(net.Dialer).DialContext(ctx, network, p.http)
			}
			return new(net.Dialer).DialContext(ctx, network, p.https)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestACME_ServesADomain(t *testing.T) {
	t.Parallel()
	authority, directory := acmetest.Start(t, validity), t.TempDir()
	p := startDomain(t, authority, directory)
	if !strings.HasPrefix(p.url, "https://"+domain+":") || !strings.Contains(p.banner, "stored in "+directory+";") {
		t.Errorf("got banner\n%s", p.banner)
	}
	certificate := p.certificate(t)
	for version, protocol := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+domain+"/v1/models", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := p.transport(t, version).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.Proto != protocol || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "sandbox") {
				t.Errorf("got %v, %s %s and %s", err, response.Proto, response.Status, body)
			}
		})
	}
	t.Run("gRPC", func(t *testing.T) {
		conn, err := grpc.NewClient(p.https, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(p.roots, domain)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reply := new(chatv1.ChatCompletion)
		if err := conn.Invoke(t.Context(), "/openaiconnect.chat.v1.ChatService/CreateChatCompletion", hello(), reply); err != nil || len(reply.GetChoices()) != 1 {
			t.Errorf("got %v and %v", reply, err)
		}
	})
	t.Run("a call that begins without TLS ends with it", func(t *testing.T) {
		client := &http.Client{Transport: p.transport(t, 2)}
		response, err := client.Post("http://"+domain+"/v1/chat/completions", "application/json",
			strings.NewReader(`{"model": "sandbox", "messages": [{"role": "user", "content": "Hello!"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.Request.URL.Scheme != "https" || response.Proto != "HTTP/2.0" || !strings.Contains(string(body), `"choices"`) {
			t.Errorf("got %v from %s: %s", err, response.Request.URL, body)
		}
	})
	t.Run("what is asked of a foreign host ends without TLS", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.http+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := servertest.HTTPClient(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusMisdirectedRequest || response.Header.Get("Location") != "" {
			t.Errorf("got %s and %q", response.Status, response.Header)
		}
	})
	p.signal(t, syscall.SIGTERM)
	p.exitsCleanly(t)
	if log := p.stderr.String(); !strings.Contains(log, `level=INFO msg="certificate active" domain=`+domain) || strings.Contains(log, "PRIVATE") {
		t.Errorf("got log\n%s", log)
	}

	t.Run("a restart uses what is stored", func(t *testing.T) {
		authority.Down()
		again := startDomain(t, authority, directory)
		if !again.certificate(t).Equal(certificate) || authority.Orders() != 1 {
			t.Errorf("got a new certificate after %d orders, want the stored one", authority.Orders())
		}
	})
}

func TestACME_ServesADomainWithoutPort80(t *testing.T) {
	t.Parallel()
	p := startDomain(t, acmetest.Start(t, validity), t.TempDir(), "--http-listen=")
	if p.http != "" {
		t.Errorf("got address %s", p.http)
	}
	p.certificate(t)
}

func TestACME_ShutdownDoesNotWaitForACertificate(t *testing.T) {
	t.Parallel()
	authority := acmetest.Start(t, validity)
	authority.Down()
	p := startDomain(t, authority, t.TempDir())
	p.signal(t, syscall.SIGTERM)
	p.exitsCleanly(t)
}

func TestACME_RejectsInvalidFlags(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	with := func(arguments ...string) []string {
		return append([]string{"--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--certificate-dir", t.TempDir(), "--domain", domain}, arguments...)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"an address", []string{"--domain", "192.0.2.1"}, []string{"--domain: ", `"192.0.2.1"`, "IP address"}},
		{"a URL", []string{"--domain", "https://api.example.com"}, []string{"--domain: ", "scheme"}},
		{"a port", []string{"--domain", "api.example.com:443"}, []string{"--domain: ", "--listen"}},
		{"this machine", []string{"--domain", "localhost"}, []string{"--domain: ", "--acme-directory"}},
		{"a wildcard", []string{"--domain", "*.example.com"}, []string{"--domain: ", "DNS-01"}},
		{"an empty label", []string{"--domain", "api..example.com"}, []string{"--domain: ", "empty label"}},
		{"one of two", []string{"--domain", "api.example.com,x_y"}, []string{"--domain: ", `"x_y"`}},
		{"none", []string{"--domain="}, []string{"--domain: ", "no domain"}},
		{"a given certificate too", with("--tls-cert", chain, "--tls-key", key), []string{"--domain and --tls-cert: ", "choose"}},
		{"a directory without TLS", with("--acme-directory", "http://acme.example.com/dir"), []string{"--acme-directory: ", "https://"}},
		{"an invalid directory", with("--acme-directory", "staging"), []string{"--acme-directory: ", `"staging"`}},
		{"a name for an address", with("--acme-email", "me"), []string{"--acme-email: ", `"me"`}},
		{"an address with a name", with("--acme-email", "Me <me@example.com>"), []string{"--acme-email: ", "Me"}},
		{"missing roots", with("--acme-ca", missing), []string{"--acme-ca: ", missing}},
		{"a file without roots", with("--acme-ca", key), []string{"--acme-ca: ", key, "PEM"}},
		{"a directory that can't be", with("--certificate-dir", filepath.Join(chain, "directory")), []string{"--certificate-dir: ", chain}},
		{"HTTP without a port", with("--http-listen", "localhost"), []string{"--http-listen: ", "HOST:PORT"}},
		{"HTTP on a port that is taken", with("--http-listen", taken.Addr().String()), []string{"--http-listen: ", "in use"}},
		{"HTTP without a domain", []string{"--http-listen", ":80"}, []string{"--http-listen: ", "--domain"}},
		{"an authority without a domain", []string{"--acme-directory", "https://acme.example.com"}, []string{"--acme-directory: ", "--domain"}},
		{"a mail address without a domain", []string{"--acme-email", "me@example.com"}, []string{"--acme-email: ", "--domain"}},
		{"roots without a domain", []string{"--acme-ca", chain}, []string{"--acme-ca: ", "--domain"}},
		{"a directory without a domain", []string{"--certificate-dir", "/tmp"}, []string{"--certificate-dir: ", "--domain"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkRejected(t, end(t, nil, row.arguments...), row.says)
		})
	}
	t.Run("no directory that is known", func(t *testing.T) {
		got := end(t, []string{"HOME=", "XDG_CONFIG_HOME="}, "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--domain", domain)
		checkRejected(t, got, []string{"--certificate-dir: ", "name a directory"})
	})
}
