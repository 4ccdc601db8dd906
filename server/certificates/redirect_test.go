package certificates

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// token is the path of the challenge in progress.
const token = "/.well-known/acme-challenge/x0123456789"

// startPlain serves a redirectHandler for two domains, with a challenge in progress.
func startPlain(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(&redirectHandler{
		domains: []string{"api.example.com", "chat.example.org"},
		challenge: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != token {
				return false
			}
			_, _ = io.WriteString(w, "the response")
			return true
		},
	})
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestRedirectHandler_AnswersChallengesAndRedirects(t *testing.T) {
	t.Parallel()
	s := startPlain(t)
	for _, row := range []struct {
		name, method, host, target string
		status                     int
		location                   string
	}{
		{"the root", "GET", "api.example.com", "/", 308, "https://api.example.com/"},
		{"a path", "GET", "api.example.com", "/v1/models", 308, "https://api.example.com/v1/models"},
		{"a query", "GET", "api.example.com", "/v1/files?limit=2&order=desc", 308, "https://api.example.com/v1/files?limit=2&order=desc"},
		{"an empty query", "GET", "api.example.com", "/v1/files?", 308, "https://api.example.com/v1/files?"},
		{"an escaped path", "GET", "api.example.com", "/a%2Fb%20c", 308, "https://api.example.com/a%2Fb%20c"},
		{"a POST request, which keeps its method", "POST", "api.example.com", "/v1/chat/completions", 308, "https://api.example.com/v1/chat/completions"},
		{"a HEAD request", "HEAD", "api.example.com", "/", 308, "https://api.example.com/"},
		{"another domain", "GET", "chat.example.org", "/a", 308, "https://chat.example.org/a"},
		{"a host in upper case", "GET", "API.Example.COM", "/", 308, "https://api.example.com/"},
		{"a host with a port", "GET", "api.example.com:8080", "/", 308, "https://api.example.com/"},
		{"a host with a dot at its end", "GET", "api.example.com.", "/", 308, "https://api.example.com/"},
		{"a path that looks like a host", "GET", "api.example.com", "//evil.example/a", 308, "https://api.example.com//evil.example/a"},
		{"a path that looks like a host to some browsers", "GET", "api.example.com", `/\evil.example`, 308, "https://api.example.com/%5Cevil.example"},
		{"an absolute target", "GET", "evil.example", "http://api.example.com/a", 308, "https://api.example.com/a"},

		{"a foreign host", "GET", "evil.example", "/", 421, ""},
		{"a foreign absolute target", "GET", "api.example.com", "http://evil.example/", 421, ""},
		{"a subdomain", "GET", "x.api.example.com", "/", 421, ""},
		{"a parent domain", "GET", "example.com", "/", 421, ""},
		{"an address", "GET", "127.0.0.1", "/", 421, ""},
		{"an IPv6 address", "GET", "[::1]:80", "/", 421, ""},
		{"a host that ends like a domain", "GET", "evilapi.example.com", "/", 421, ""},
		{"userinfo", "GET", "api.example.com@evil.example", "/", 400, ""},
		{"no host", "GET", "", "/", 421, ""},
		{"CONNECT", "CONNECT", "api.example.com:443", "api.example.com:443", 400, ""},
		{"a foreign CONNECT", "CONNECT", "evil.example:443", "evil.example:443", 421, ""},
		{"OPTIONS *", "OPTIONS", "api.example.com", "*", 400, ""},

		{"a challenge", "GET", "api.example.com", token, 200, ""},
		{"a foreign token", "GET", "api.example.com", token + "0", 404, ""},
		{"no token", "GET", "api.example.com", "/.well-known/acme-challenge/", 404, ""},
		{"a token of a foreign host", "GET", "evil.example", token, 404, ""},
		{"another well-known path", "GET", "api.example.com", "/.well-known/security.txt", 308, "https://api.example.com/.well-known/security.txt"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := row.method + " " + row.target + " HTTP/1.1\r\nHost: " + row.host + "\r\nConnection: close\r\n\r\n"
			status, header, body := sendRaw(t, s.Listener.Addr().String(), text)
			if status != row.status || header.Get("Location") != row.location {
				t.Errorf("got status %d and location %q, want %d and %q", status, header.Get("Location"), row.status, row.location)
			}
			if answered := strings.Contains(body, "the response"); answered != (status == http.StatusOK) {
				t.Errorf("got body %q for status %d", body, status)
			}
		})
	}
}
