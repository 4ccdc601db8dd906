package upstream_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// newUpstream returns an Upstream whose connections are closed after the test.
func newUpstream(tb testing.TB, config upstream.Config) *upstream.Upstream {
	tb.Helper()
	up, err := upstream.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(up.CloseIdleConnections)
	return up
}

// discard sends req, discards the body of the response and returns the response.
func discard(t *testing.T, up *upstream.Upstream, req *upstream.Request) *http.Response {
	t.Helper()
	resp, err := up.Send(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func rootsOf(server *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

// await receives from a channel, and fails the test after a timeout.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(20 * time.Second):
		t.Fatalf("timeout waiting for %s", what)
		panic("unreachable")
	}
}
