package upstream_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// targets are request-targets as sent by clients, and as expected by an upstream with the
// base path /api/v3.
var targets = []struct {
	name, target, want string
}{
	{"the API goes under the base path", "/v1/chat/completions", "/api/v3/chat/completions"},
	{"the API's root goes to the base path", "/v1", "/api/v3"},
	{"the API's root with a slash keeps it", "/v1/", "/api/v3/"},
	{"the API's root with a query", "/v1?a=b", "/api/v3?a=b"},
	{"another path is unchanged", "/healthz", "/healthz"},
	{"the root is unchanged", "/", "/"},
	{"a path that only begins with the API's prefix", "/v1beta/models", "/v1beta/models"},
	{"a path that contains the API's prefix further on", "/x/v1/models", "/x/v1/models"},
	{"an escaped spelling of the prefix is another path", "/%761/models", "/%761/models"},
	{"an escaped slash stays escaped", "/v1/files/a%2Fb%2fc", "/api/v3/files/a%2Fb%2fc"},
	{"an escaped space stays escaped", "/v1/files/a%20b+c", "/api/v3/files/a%20b+c"},
	{"needless escapes stay", "/v1/%66iles/%7Ea", "/api/v3/%66iles/%7Ea"},
	{"a semicolon stays", "/v1/models;v=2?a=1;b=2", "/api/v3/models;v=2?a=1;b=2"},
	{"double slashes stay", "/v1//models///x", "/api/v3//models///x"},
	{"dot segments stay", "/v1/../admin/./x", "/api/v3/../admin/./x"},
	{"escaped dot segments stay", "/v1/%2e%2e/admin", "/api/v3/%2e%2e/admin"},
	{"a path with two leading slashes is not a host", "//evil.example/v1/x", "//evil.example/v1/x"},
	{"a path with three leading slashes is not a host", "///evil.example", "///evil.example"},
	{"only slashes", "//", "//"},
	{"two slashes and escapes", "//evil.example/a%2Fb?c=%2F", "//evil.example/a%2Fb?c=%2F"},
	{"userinfo in a path is a path", "/@evil.example", "/@evil.example"},
	{"a backslash is not a slash", `/\evil.example\x`, `/\evil.example\x`},
	{"a colon in a path", "/v1/models/ft:gpt:org::1", "/api/v3/models/ft:gpt:org::1"},
	{"a URL in a path", "/https://evil.example/", "/https://evil.example/"},
	{"order, repetitions and empty parts of a query stay", "/v1/x?b=2&a=1&b=&&c", "/api/v3/x?b=2&a=1&b=&&c"},
	{"brackets in a query stay", "/v1/x?metadata[k]=v&m%5Bk%5D=v", "/api/v3/x?metadata[k]=v&m%5Bk%5D=v"},
	{"question marks in a query stay", "/v1/x?a=?b?", "/api/v3/x?a=?b?"},
	{"an empty query stays", "/v1/x?", "/api/v3/x?"},
	{"a malformed escape stays", "/v1/100%?q=%", "/api/v3/100%?q=%"},
	{"characters that should be escaped stay", `/v1/{a}|"b"<c>^` + "`d`", `/api/v3/{a}|"b"<c>^` + "`d`"},
	{"a fragment mark is part of the path", "/v1/a#b", "/api/v3/a#b"},
	{"bytes that are not ASCII stay", "/v1/\xc3\xa9\xff", "/api/v3/\xc3\xa9\xff"},
	{"absolute form loses its host", "http://evil.example/v1/models?x=1", "/api/v3/models?x=1"},
	{"absolute form with userinfo and port", "https://u:p@evil.example:8443/x", "/x"},
	{"absolute form in upper case", "HTTP://EVIL.EXAMPLE/v1", "/api/v3"},
	{"absolute form without a path", "http://evil.example", "/"},
	{"absolute form with only a query", "http://evil.example?x=/y", "/?x=/y"},
	{"absolute form with an empty host", "http:///v1/models", "/api/v3/models"},
	{"the asterisk of OPTIONS", "*", "*"},
}

func TestTarget_OverHTTP1(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			lines <- request.Line
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url + "/api/v3"})
	for _, test := range targets {
		t.Run(test.name, func(t *testing.T) {
			discard(t, up, &upstream.Request{Method: http.MethodOptions, Target: test.target})
			if got, want := <-lines, "OPTIONS "+test.want+" HTTP/1.1"; got != want {
				t.Errorf("upstream received %q, want %q", got, want)
			}
		})
	}
}

func TestTarget_OverHTTP2(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		paths <- r.RequestURI
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	up := newUpstream(t, upstream.Config{BaseURL: server.URL + "/api/v3", HTTP2: true, RootCAs: rootsOf(server)})
	for _, test := range targets {
		if test.target == "*" || strings.Contains(test.target, "%?") {
			continue // net/http's server answers these itself
		}
		t.Run(test.name, func(t *testing.T) {
			resp := discard(t, up, &upstream.Request{Target: test.target})
			if resp.ProtoMajor != 2 {
				t.Errorf("got protocol %s, want HTTP/2.0", resp.Proto)
			}
			if got := <-paths; got != test.want {
				t.Errorf("upstream received %q, want %q", got, test.want)
			}
		})
	}
}

// Bytes that HTTP forbids in a path, but upstreams may accept, are sent unchanged.
func TestTarget_SendsUnescapedBytesUnchanged(t *testing.T) {
	t.Parallel()
	targets := make(chan string, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		request, err := conn.ReadRequest()
		if err != nil {
			return
		}
		targets <- request.Target()
		conn.Send("HTTP/1.1 204 No Content\n\n")
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	discard(t, up, &upstream.Request{Target: "//evil.example/{a}?b"})
	if got, want := <-targets, "//evil.example/{a}?b"; got != want {
		t.Errorf("upstream received %q, want %q", got, want)
	}
}

func TestTarget_RejectsInvalidTargets(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, upstream.Config{BaseURL: "http://127.0.0.1:1"}) // nothing may be dialled
	for _, test := range []struct {
		name, target string
	}{
		{"nothing", ""},
		{"a relative path", "v1/models"},
		{"authority form", "evil.example:443"},
		{"a scheme without authority", "http:/v1/models"},
		{"another scheme", "ftp://evil.example/v1"},
		{"a scheme before a path", "evil:/v1/models"},
		{"a space", "/v1/a b"},
		{"a line break", "/v1/a\r\nX: y"},
		{"a NUL", "/v1/a\x00"},
		{"a DEL", "/v1/a\x7f"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := up.Send(t.Context(), &upstream.Request{Target: test.target})
			cause, ok := errors.AsType[*upstream.Error](err)
			if !ok || cause.Kind != upstream.KindRequest {
				t.Errorf("got error %v, want one of KindRequest", err)
			}
		})
	}
}

// Any target is either rejected or sent to the proxied host, in one request line that ends
// with the unchanged path and query.
func FuzzTarget(f *testing.F) {
	for _, test := range targets {
		f.Add(test.target)
	}
	lines := make(chan string, 1)
	url := upstreamtest.Serve(f, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			lines <- request.Line + "\n" + request.Value("Host")
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	up := newUpstream(f, upstream.Config{BaseURL: url})
	host := strings.TrimPrefix(url, "http://")
	f.Fuzz(func(t *testing.T, target string) {
		resp, err := up.Send(t.Context(), &upstream.Request{Target: target})
		if err != nil {
			if cause, ok := errors.AsType[*upstream.Error](err); !ok || cause.Kind != upstream.KindRequest {
				t.Fatalf("%q: %v", target, err)
			}
			return
		}
		resp.Body.Close()
		line, gotHost, _ := strings.Cut(<-lines, "\n")
		if gotHost != host {
			t.Fatalf("%q: sent to host %q", target, gotHost)
		}
		got := strings.TrimSuffix(strings.TrimPrefix(line, "GET "), " HTTP/1.1")
		if strings.HasPrefix(target, "/") && got != target && got != "http://"+host+target {
			t.Fatalf("%q: sent as %q", target, got)
		}
	})
}
