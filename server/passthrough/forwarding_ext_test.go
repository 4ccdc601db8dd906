package passthrough_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// In both directions exactly the hop-by-hop headers of RFC 9110 are removed, and those named
// in Connection.
func TestHeaders_RemovesOnlyHopByHopHeaders(t *testing.T) {
	t.Parallel()
	hops := []string{
		"Connection: X-Named, keep-alive", "X-Named: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic",
		"Proxy-Authorization: Basic eA==", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: h2c",
	}
	kept := []string{
		"Keep-Alive-Not: 1", "Proxy-Status: x", "Proxy-Authentication-Info: x", "Upgrade-Insecure-Requests: 1", "Connection-Id: 1", "X-Connection: 1",
		"Authorization: Bearer x", "Cookie: a=b", "Set-Cookie: a=b", "Forwarded: for=1", "X-Forwarded-For: 10.0.0.1", "X-Real-Ip: 10.0.0.1",
		"Host-Not: x", "Cf-Ray: 1", "Server: x", "Date: then", "Age: 3", "Warning: 199 - x", "Alt-Svc: h3", "Sec-Fetch-Mode: cors", "Sec-Websocket-Key: k",
		"Early-Data: 1", "Priority: u=1", "Content-Type: text/plain", "Content-Encoding: br", "Accept-Encoding: br", "Expires: 0",
		"Openai-Organization: org", "X-Request-Id: req_1", "X-Accel-Buffering: yes", "X-Accel-Redirect: /x", "Grpc-Timeout: 1S", "Connect-Timeout-Ms: 1",
	}
	sent := strings.Join(slices.Concat(hops, kept), "\n") + "\nContent-Length: 2\n\n{}"
	want := fieldsOf(append(slices.Clone(kept), "Content-Length: 2"))
	received := make(chan upstreamtest.Request, 1)
	client := connect(t, forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if request, err := conn.ReadRequest(); err == nil {
			received <- request
			conn.Send("HTTP/1.1 200 OK\n" + sent)
		}
	})))
	client.Send("POST /v1/x HTTP/1.1\nHost: x\n" + sent)
	request := await(t, received, "the request")
	if got := fieldsOf(request.Fields, "host", "via"); !slices.Equal(got, want) {
		t.Errorf("upstream received %q, want %q", got, want)
	}
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if got := fieldsOf(head.Fields, "via"); !slices.Equal(got, want) {
		t.Errorf("client received %q, want %q", got, want)
	}
}

// Every method is forwarded, with and without a body.
func TestRequest_ForwardsEveryMethod(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 1)
	address := forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			lines <- request.Line + " " + request.Body
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	}))
	client := connect(t, address)
	for _, method := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", // RFC 9110, RFC 5789
		"PROPFIND", "QUERY", "PURGE", "PRI-NOT", "BREW", "get", "Post", "connect", "a", "!#$%&'*+-.^_`|~0",
	} {
		for _, body := range []string{"", "body"} {
			request := method + " /v1/x HTTP/1.1\nHost: x\n"
			if body != "" {
				request += "Content-Length: 4\n"
			}
			client.Send(request + "\n" + body)
			if got, want := await(t, lines, method), method+" /v1/x HTTP/1.1 "+body; got != want {
				t.Errorf("upstream received %q, want %q", got, want)
			}
			if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 204 No Content" {
				t.Fatalf("%s: got %q, %v", method, head.Line, err)
			}
		}
	}
}

// Every target that net/http accepts is forwarded unchanged.
func TestRequest_ForwardsEveryTarget(t *testing.T) {
	t.Parallel()
	targets := make(chan string, 1)
	address := forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			targets <- request.Target()
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	}))
	for _, target := range []string{
		"/", "//", "///v1//x//", "/v1", "/v1/", "/v1/.", "/v1/..", "/v1/../x", "/v1/./x", "/v1/%2e%2e/x", "/v1/x/%2E",
		"/v1/a%2Fb", "/v1/a%2fb", "/v1/a%5Cb", `/v1/a\b`, "/v1/a%20b+c", "/v1/a;b=1;c", "/v1/:x@y!$&'()*,=", "/v1/%41%7e", "/v1/\xc3\xa9", "/v1/%C3%A9",
		"/v1/x%00y", "/v1/x%0d%0ay", "/v1/x%3Fy%23z", "/v1/<>\"{}|^`[]",
		"/v1/x?", "/v1/x??", "/v1/x?a", "/v1/x?a=", "/v1/x?=", "/v1/x?&&", "/v1/x?b=2&a=1&b=1", "/v1/x?a=%20+%2B", "/v1/x?a[]=1&a[k]=2",
		"/v1/x?a=%zz%", "/v1/x?a;b", "/v1/x?u=https://evil.example/?y", "/v1/x?a=\xff",
		"/v1/x?" + strings.Repeat("a=b&", 2000),
	} {
		for _, client := range []string{"HTTP/1.1", "HTTP/1.0"} {
			conn := connect(t, address)
			conn.Send("GET " + target + " " + client + "\nHost: x\nConnection: close\n\n")
			head, err := conn.ReadHead()
			if err != nil || !strings.HasSuffix(head.Line, "204 No Content") {
				t.Errorf("%.100q: got %q, %v", target, head.Line, err)
				continue
			}
			if got := await(t, targets, "the request"); got != target {
				t.Errorf("upstream received %.100q, want %.100q", got, target)
			}
		}
	}
}

// The package comment lists these differences.
func TestHeaders_HasKnownDifferences(t *testing.T) {
	t.Parallel()
	received := make(chan upstreamtest.Request, 1)
	address := forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if request, err := conn.ReadRequest(); err == nil {
			received <- request
			conn.Send("HTTP/1.1 200 Fine\nPragma: no-cache\nX-lower: 1\nContent-Length: 0\n\n")
		}
	}))
	client := connect(t, address)
	client.Send("GET /v1/x HTTP/1.1\nHost: x\nPragma: no-cache\nX-lower: 1\n\n")
	got := await(t, received, "the request").Fields
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range [][]string{got, head.Fields} {
		if !slices.Contains(fields, "Cache-Control: no-cache") || !slices.Contains(fields, "X-Lower: 1") {
			t.Errorf("got headers %q", fields)
		}
	}
	if want := "HTTP/1.1 200 " + http.StatusText(http.StatusOK); head.Line != want {
		t.Errorf("got status line %q, want %q", head.Line, want)
	}
}
