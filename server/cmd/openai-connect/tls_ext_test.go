package main_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// certificate makes a certificate for 127.0.0.1 that vouches for itself, and
// returns the paths of its chain and its key.
func certificate(t *testing.T) (chain, key string) {
	t.Helper()
	return certificateUntil(t, time.Now().Add(time.Hour))
}

func expiredCertificate(t *testing.T) (chain, key string) {
	t.Helper()
	return certificateUntil(t, time.Now().Add(-time.Minute))
}

func certificateUntil(t *testing.T, notAfter time.Time) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              notAfter,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("chain.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", encoded)
}

func TestHTTPS_IsServedWithACertificate(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key, "--log-level", "warn")
	if !strings.HasPrefix(p.url, "https://") {
		t.Errorf("got address %s", p.url)
	}
	for _, text := range commandsOf(p.banner)[:grpcCommand] {
		if !strings.HasPrefix(text, "curl "+p.url+"/") {
			t.Errorf("got a command for another server:\n%s", text)
		}
	}
	if text := commandsOf(p.banner)[grpcCommand]; strings.Contains(text, "-plaintext") {
		t.Errorf("got a command for a server without TLS:\n%s", text)
	}
	public, err := os.ReadFile(chain)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(public) {
		t.Fatal("the certificate can't be read")
	}
	for version, protocol := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(version == 1)
			protocols.SetHTTP2(version == 2)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols}
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/models", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
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
		conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "")))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		list := new(chatv1.ChatCompletionList)
		err = conn.Invoke(t.Context(), "/openaiconnect.chat.v1.ChatService/ListChatCompletions", new(chatv1.ListChatCompletionsRequest), list)
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("not without TLS", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := new(http.Transport)
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("got status %s", response.Status)
		}
	})
	p.signal(t, syscall.SIGTERM)
	p.exitsCleanly(t)
	if log := p.stderr.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "client sent an HTTP request to an HTTPS server") {
		t.Errorf("got log\n%s", log)
	}
}

func TestHTTPS_ReloadsTheCertificate(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key)
	config := &tls.Config{InsecureSkipVerify: true} // Each vouches for itself alone.
	first := seen(t, p.address, config, func(*x509.Certificate) bool { return true })
	old, err := tls.Dial("tcp", p.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	newChain, newKey := certificate(t)
	for from, to := range map[string]string{newChain: chain, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	seen(t, p.address, config, func(c *x509.Certificate) bool { return !c.Equal(first) })

	// A connection that is open goes on with what it has.
	if _, err := io.WriteString(old, "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(old), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %s", response.Status)
	}
	p.signal(t, syscall.SIGTERM)
	p.exitsCleanly(t)
	if log := p.stderr.String(); !strings.Contains(log, "certificate reloaded") {
		t.Errorf("got log\n%s", log)
	}
}
