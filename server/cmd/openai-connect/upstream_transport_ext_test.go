package main_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// far starts an upstream with TLS. Its certificate is only trusted with the roots file.
func far(t *testing.T) (url, roots string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/from" {
			http.Redirect(w, r, "/v1/to", http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots = filepath.Join(t.TempDir(), "roots.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(roots, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, roots
}

func TestUpstreamTransport_FollowsTheFlags(t *testing.T) {
	t.Parallel()
	url, roots := far(t)
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	upstreams := filepath.Join(t.TempDir(), "upstreams.yaml")
	if err := os.WriteFile(upstreams, []byte("upstreams: [{name: a, url: sandbox}, {name: b, url: 'http://b.example/v1', key: none}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, path string
		settings   []string
		arguments  []string
		status     int
		body       string
		asked      int32 // how often the proxy is
	}{
		{"by a CA of one's own", "/v1/to", nil, []string{"--upstream-ca", roots}, 200, "HTTP/1.1", 0},
		{"by the same from the environment", "/v1/to", []string{"OPENAI_CONNECT_UPSTREAM_CA=" + roots}, nil, 200, "HTTP/1.1", 0},
		{"by the system's alone", "/v1/to", nil, nil, 502, "", 0},
		{"over HTTP/2", "/v1/to", nil, []string{"--upstream-ca", roots, "--upstream-http2"}, 200, "HTTP/2.0", 0},
		{"where a redirect leads", "/v1/from", nil, []string{"--upstream-ca", roots}, 200, "HTTP/1.1", 0},
		{"where no redirect is followed", "/v1/from", nil, []string{"--upstream-ca", roots, "--no-follow-redirects"}, 307, "", 0},
		{"by a proxy", "/v1/to", nil, []string{"--upstream-ca", roots, "--proxy", proxy.URL}, 502, "", 1},
		{"by a proxy of the product's own variable", "/v1/to", []string{"OPENAI_CONNECT_PROXY=" + proxy.URL}, nil, 502, "", 1},
		{"by no proxy", "/v1/to", []string{"HTTPS_PROXY=" + proxy.URL}, []string{"--upstream-ca", roots, "--proxy", "none"}, 200, "HTTP/1.1", 0},
		{"to the sandbox, which no proxy is before", "/v1/models", nil, []string{"--upstreams", upstreams, "--proxy", proxy.URL}, 200, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := asked.Load()
			arguments := append([]string{"--listen", "127.0.0.1:0"}, row.arguments...)
			if !slices.Contains(arguments, "--upstreams") {
				arguments = append(arguments, "--upstream", url)
			}
			p := start(t, row.settings, arguments...)
			resp, err := servertest.HTTPClient(t, false).Get(p.url + row.path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != row.status || row.body != "" && string(body) != row.body {
				t.Errorf("got %d %q, %v", resp.StatusCode, body, err)
			}
			if got := asked.Load() - before; got != row.asked {
				t.Errorf("the proxy was asked %d times, want %d", got, row.asked)
			}
		})
	}
}
