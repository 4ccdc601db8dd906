package e2etest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// StartTLSServer runs a server with TLS and returns its root certificates.
func StartTLSServer(t *testing.T, upstream string) (*servertest.Front, *x509.CertPool) {
	t.Helper()
	return StartTLSServerWith(t, server.Config{Upstream: upstream})
}

// StartTLSServerWith is [StartTLSServer] with a configuration.
func StartTLSServerWith(t *testing.T, config server.Config) (*servertest.Front, *x509.CertPool) {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // only for its certificate
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, listener, server.ServeConfig{
			TLS:          &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12},
			DrainTimeout: Timeout,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	return &servertest.Front{Server: s, Address: address, URL: "https://" + address, Stop: stop}, roots
}

// NewTransportClient returns a client for one version of HTTP, which setProtocol
// selects.
func NewTransportClient(t *testing.T, config *tls.Config, setProtocol func(*http.Protocols, bool), closeAfter bool) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	setProtocol(protocols, true)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: config, DisableCompression: true, DisableKeepAlives: closeAfter}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
