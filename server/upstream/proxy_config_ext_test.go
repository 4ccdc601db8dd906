package upstream_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// recorder is a host that records requests and responds with its name.
type recorder struct {
	*httptest.Server

	mu    sync.Mutex
	lines []string    // guarded by mu
	auth  []string    // guarded by mu
	all   http.Header // guarded by mu: of the last request
}

func record(t *testing.T, start func(*httptest.Server), then http.HandlerFunc) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.mu.Lock()
		rec.lines = append(rec.lines, r.Method+" "+r.RequestURI)
		rec.auth = append(rec.auth, r.Header["Proxy-Authorization"]...)
		rec.all = r.Header
		rec.mu.Unlock()
		then(w, r)
	}))
	rec.Config.ErrorLog = discardLog
	start(rec.Server)
	t.Cleanup(rec.Close)
	return rec
}

// Each kind of HTTP proxy is tested with each kind of upstream, twice on one connection.
func TestProxy_KeepsProxyAndUpstreamCredentialsApart(t *testing.T) {
	t.Parallel()
	const login, credentials = "me:" + secret, "Basic bWU6czNjcmV0"
	answer := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "upstream") }
	for _, test := range []struct {
		name, baseURL   string
		upstream, proxy func(*httptest.Server)
		lines           []string
		credentials     int
		http2           bool
	}{
		{
			name: "an http proxy to https", baseURL: "https://example.com", upstream: (*httptest.Server).StartTLS, proxy: (*httptest.Server).Start,
			lines: []string{"CONNECT example.com:443"}, credentials: 1,
		},
		{
			name: "an http proxy to HTTP/2", baseURL: "https://example.com", upstream: (*httptest.Server).StartTLS, proxy: (*httptest.Server).Start,
			lines: []string{"CONNECT example.com:443"}, credentials: 1, http2: true,
		},
		{
			name: "an https proxy to https", baseURL: "https://example.com:444", upstream: (*httptest.Server).StartTLS, proxy: (*httptest.Server).StartTLS,
			lines: []string{"CONNECT example.com:444"}, credentials: 1,
		},
		{
			name: "an http proxy to http", baseURL: "http://example.com", upstream: (*httptest.Server).Start, proxy: (*httptest.Server).Start,
			lines: []string{"GET http://example.com/v1/x", "GET http://example.com/v1/x"}, credentials: 2,
		},
		{
			name: "an https proxy to http", baseURL: "http://example.com:81", upstream: (*httptest.Server).Start, proxy: (*httptest.Server).StartTLS,
			lines: []string{"GET http://example.com:81/v1/x", "GET http://example.com:81/v1/x"}, credentials: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target := record(t, func(s *httptest.Server) {
				s.EnableHTTP2 = test.http2
				test.upstream(s)
			}, answer)
			proxy := record(t, test.proxy, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodConnect {
					answer(w, r)
					return
				}
				conn, buffered, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				defer conn.Close()
				both := &upstreamtest.Conn{Conn: conn, Reader: buffered.Reader}
				both.Send("HTTP/1.1 200 OK\n\n")
				relay(both, target.Listener.Addr().String())
			})
			roots := x509.NewCertPool()
			for _, server := range []*httptest.Server{target.Server, proxy.Server} {
				if server.TLS != nil {
					roots.AddCert(server.Certificate())
				}
			}
			scheme, address, _ := strings.Cut(proxy.URL, "://")
			up := newUpstream(t, upstream.Config{
				BaseURL: test.baseURL, RootCAs: roots, HTTP2: test.http2,
				Proxy: scheme + "://" + login + "@" + address,
			})
			for range 2 {
				resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x", Header: http.Header{"Authorization": {"Bearer k"}}})
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "upstream" {
					t.Errorf("got %q, %v", body, err)
				}
				resp.Body.Close()
			}
			up.CloseIdleConnections()
			proxy.mu.Lock()
			defer proxy.mu.Unlock()
			if !slices.Equal(proxy.lines, test.lines) {
				t.Errorf("the proxy received %q, want %q", proxy.lines, test.lines)
			}
			if len(proxy.auth) != test.credentials || proxy.auth[0] != credentials {
				t.Errorf("the proxy received credentials %q", proxy.auth)
			}
			if strings.HasPrefix(test.baseURL, "https") && proxy.all.Get("Authorization") != "" {
				t.Error("the proxy received headers meant for the upstream")
			}
			target.mu.Lock()
			defer target.mu.Unlock()
			if len(target.auth) > 0 {
				t.Errorf("the upstream received credentials %q", target.auth)
			}
		})
	}
}

func TestProxy_PrefersTheConfigurationOverTheEnvironment(t *testing.T) {
	hit := func(t *testing.T, hits *[]string, name string) string {
		t.Helper()
		return record(t, (*httptest.Server).Start, func(w http.ResponseWriter, _ *http.Request) {
			*hits = append(*hits, name)
			w.WriteHeader(http.StatusNoContent)
		}).URL
	}
	for _, test := range []struct {
		name, noProxy, given, baseURL, want string
	}{
		{"the environment's proxy", "", "", "http://up.invalid", "environment"},
		{"the environment's proxy, for a name that is not in NO_PROXY", "other.invalid,.example", "", "http://up.invalid", "environment"},
		{"the configured proxy takes precedence", "", "GIVEN", "http://up.invalid", "given"},
		{"the configured proxy, despite NO_PROXY", "*", "GIVEN", "http://up.invalid", "given"},
		{"the configured proxy, for loopback too", "", "GIVEN", "http://127.0.0.1:1", "given"},
		{"no proxy for loopback", "", "", "SELF", "upstream"},
		{"no proxy if so configured", "", upstream.NoProxy, "http://up.invalid", ""},
		{"no proxy for a name in NO_PROXY", "up.invalid", "", "http://up.invalid", ""},
		{"no proxy for a subdomain of a name in NO_PROXY", "invalid", "", "http://up.invalid", ""},
		{"no proxy for a name and port in NO_PROXY", "up.invalid:80", "", "http://up.invalid", ""},
		{"the environment's proxy for another port", "up.invalid:81", "", "http://up.invalid", "environment"},
		{"no proxy for a network in NO_PROXY", "192.0.2.0/24", "", "http://192.0.2.1:9", ""},
		{"no proxy for any host", "*", "", "http://up.invalid", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var hits []string
			t.Setenv("HTTP_PROXY", hit(t, &hits, "environment"))
			t.Setenv("NO_PROXY", test.noProxy)
			given := strings.Replace(test.given, "GIVEN", hit(t, &hits, "given"), 1)
			base := strings.Replace(test.baseURL, "SELF", hit(t, &hits, "upstream"), 1)
			// Connection errors don't matter here.
			dials := upstream.Config{BaseURL: base, Proxy: given, ConnectTimeout: 100 * time.Millisecond}
			up := newUpstream(t, dials)
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
			if err == nil {
				resp.Body.Close()
			}
			if got := strings.Join(hits, " "); got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got a request to %q, want %q (error: %v)", got, test.want, err)
			}
		})
	}
}

func TestParseProxy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, raw, want, says string }{
		{"a URL", "http://proxy.example:3128", "http://proxy.example:3128", ""},
		{"a host and port", "proxy.example:3128", "http://proxy.example:3128", ""},
		{"a login", "socks5h://me:p%40ss@proxy.example", "socks5h://me:p%40ss@proxy.example", ""},
		{"a slash at the end", "https://proxy.example/", "https://proxy.example/", ""},
		{"none", upstream.NoProxy, "", ""},
		{"another scheme", "ftp://me:s3cret@proxy.example", "", "socks5h"},
		{"an invalid URL", "http://me:s3cret@[bad", "", "valid URL"},
		{"no host", "http://me:s3cret@:3128", "", "valid URL"},
		{"an invalid port", "http://me:s3cret@proxy.example:99999", "", "valid URL"},
		{"a path", "http://me:s3cret@proxy.example/path", "", "path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := upstream.ParseProxy(test.raw)
			switch {
			case test.says != "":
				if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secret) {
					t.Errorf("got %v, want an error containing %q, and no password", err, test.says)
				}
				if _, err := upstream.New(upstream.Config{Proxy: test.raw}); err == nil || !strings.Contains(err.Error(), "Proxy: ") {
					t.Errorf("New: got error %v", err)
				}
			case err != nil, got == nil && test.want != "", got != nil && got.String() != test.want:
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
