package passthrough_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Each row has a request as sent by a client and as expected by the upstream. "HOST" stands
// for the upstream's host.
func TestRequest_IsForwardedUnchanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sent string
		line       string
		fields     []string // without via
		body       string
		trailer    []string
	}{
		{
			name:   "a plain request gets no field but via",
			sent:   "GET /v1/models HTTP/1.1\nHost: front.example\n\n",
			line:   "GET /v1/models HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "escapes, semicolons and double slashes of a path stay",
			sent:   "GET /v1//files/a%2Fb%20c;d=1/../e%2e HTTP/1.1\nHost: x\n\n",
			line:   "GET /v1//files/a%2Fb%20c;d=1/../e%2e HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "order, repeats and spelling of a query stay",
			sent:   "GET /v1/x?b=2&a=%2f&b=1;c&metadata[k]=v&d HTTP/1.1\nHost: x\n\n",
			line:   "GET /v1/x?b=2&a=%2f&b=1;c&metadata[k]=v&d HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "a path outside the API is forwarded unchanged",
			sent:   "GET //evil.example/x?y HTTP/1.1\nHost: x\n\n",
			line:   "GET //evil.example/x?y HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "absolute form goes to the upstream all the same",
			sent:   "GET http://evil.example/v1/x HTTP/1.1\nHost: evil.example\n\n",
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "an OPTIONS of the whole server",
			sent:   "OPTIONS * HTTP/1.1\nHost: x\n\n",
			line:   "OPTIONS * HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name:   "an unknown method",
			sent:   "BREW-2 /v1/pot HTTP/1.1\nHost: x\nContent-Length: 3\n\nnow",
			line:   "BREW-2 /v1/pot HTTP/1.1",
			fields: []string{"host: HOST", "content-length: 3"},
			body:   "now",
		},
		{
			name:   "a method in small letters",
			sent:   "get /v1/x HTTP/1.1\nHost: x\n\n",
			line:   "get /v1/x HTTP/1.1",
			fields: []string{"host: HOST"},
		},
		{
			name: "fields stay, repeated and empty ones too",
			sent: "GET /v1/x HTTP/1.1\nHost: x\nAuthorization: Bearer sk-1\nX-B: 2\nx-b: 1\nX-B: 2, 3\nX-Empty:\n" +
				"Cookie: a=b\nCookie: c=d\nUser-Agent: OpenAI/Go 3\nAccept-Encoding: gzip, br\nReferer: r\nForwarded: for=1\nX-Forwarded-For: 10.0.0.1\n\n",
			line: "GET /v1/x HTTP/1.1",
			fields: []string{
				"host: HOST", "authorization: Bearer sk-1", "x-b: 2", "x-b: 1", "x-b: 2, 3", "x-empty: ",
				"cookie: a=b", "cookie: c=d", "user-agent: OpenAI/Go 3", "accept-encoding: gzip, br", "referer: r", "forwarded: for=1", "x-forwarded-for: 10.0.0.1",
			},
		},
		{
			name: "hop-by-hop fields stay behind",
			sent: "GET /v1/x HTTP/1.1\nHost: x\nConnection: keep-alive, X-Hop\nKeep-Alive: timeout=5\nX-Hop: 1\nX-End: 2\n" +
				"Proxy-Authorization: Basic eA==\nProxy-Connection: keep-alive\nTE: gzip\nUpgrade: h2c\n\n",
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "x-end: 2"},
		},
		{
			name:   "who takes trailers is said to",
			sent:   "GET /v1/x HTTP/1.1\nHost: x\nTE: gzip;q=0.5, trailers\n\n",
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "te: trailers"},
		},
		{
			name:   "a body with a length",
			sent:   "POST /v1/chat/completions HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 11\n\n{\"a\": \x00\xff 1}",
			line:   "POST /v1/chat/completions HTTP/1.1",
			fields: []string{"host: HOST", "content-type: application/json", "content-length: 11"},
			body:   "{\"a\": \x00\xff 1}",
		},
		{
			name:   "an empty body with a length",
			sent:   "DELETE /v1/x HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
			line:   "DELETE /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "content-length: 0"},
		},
		{
			name:   "a body with a length, where bodies are unusual",
			sent:   "GET /v1/x HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}",
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "content-length: 2"},
			body:   "{}",
		},
		{
			name:   "a chunked body",
			sent:   "POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3;ext=1\nabc\n2\nde\n0\n\n",
			line:   "POST /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "transfer-encoding: chunked"},
			body:   "abcde",
		},
		{
			name:   "an empty chunked body",
			sent:   "GET /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n",
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "transfer-encoding: chunked"},
		},
		{
			name:    "an announced trailer",
			sent:    "POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n3\nabc\n0\nX-Sum: 7\n\n",
			line:    "POST /v1/x HTTP/1.1",
			fields:  []string{"host: HOST", "transfer-encoding: chunked", "trailer: X-Sum"},
			body:    "abc",
			trailer: []string{"X-Sum: 7"},
		},
		{
			name:    "a trailer that was not announced, less what may not be in one",
			sent:    "POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 7\nContent-Length: 9\nAuthorization: Bearer x\n\n",
			line:    "POST /v1/x HTTP/1.1",
			fields:  []string{"host: HOST", "transfer-encoding: chunked"},
			body:    "abc",
			trailer: []string{"X-Sum: 7"},
		},
		{
			name:   "an expectation",
			sent:   "POST /v1/x HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 3\n\nabc",
			line:   "POST /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "expect: 100-continue", "content-length: 3"},
			body:   "abc",
		},
		{
			name:   "HTTP/1.0",
			sent:   "POST /v1/x HTTP/1.0\nContent-Length: 3\n\nabc",
			line:   "POST /v1/x HTTP/1.1",
			fields: []string{"host: HOST", "content-length: 3"},
			body:   "abc",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			received := make(chan upstreamtest.Request, 1)
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				head, err := conn.ReadHead()
				if err != nil {
					return
				}
				if head.Value("Expect") != "" {
					conn.Send("HTTP/1.1 100 Continue\n\n")
				}
				request, err := conn.ReadBody(head)
				if err != nil {
					return
				}
				received <- request
				conn.Send("HTTP/1.1 204 No Content\n\n")
			})
			client := connect(t, forward(t, url))
			client.Send(test.sent)
			got := await(t, received, "the request")
			if got.Line != test.line {
				t.Errorf("upstream received %q, want %q", got.Line, test.line)
			}
			for i, field := range test.fields {
				test.fields[i] = strings.Replace(field, "HOST", strings.TrimPrefix(url, "http://"), 1)
			}
			if got, want := fieldsOf(got.Fields, "via"), fieldsOf(test.fields); !slices.Equal(got, want) {
				t.Errorf("upstream got fields %q, want %q", got, want)
			}
			version := "1.1"
			if strings.Contains(test.sent, "HTTP/1.0\n") {
				version = "1.0"
			}
			if got, want := got.Values("Via"), []string{version + " " + serverName}; !slices.Equal(named(got), want) {
				t.Errorf("upstream got via %q, want %q", got, want)
			}
			if got.Body != test.body {
				t.Errorf("upstream got body %q, want %q", got.Body, test.body)
			}
			if !slices.Equal(got.Trailer, test.trailer) {
				t.Errorf("upstream received trailer %q, want %q", got.Trailer, test.trailer)
			}
			if test.name == "an expectation" {
				if interim, err := client.ReadHead(); err != nil || interim.Line != "HTTP/1.1 100 Continue" {
					t.Errorf("client received %q, %v before the answer", interim.Line, err)
				}
			}
			if head, err := client.ReadHead(); err != nil || !strings.HasSuffix(head.Line, " 204 No Content") {
				t.Errorf("client received %q, %v", head.Line, err)
			}
		})
	}
}

// Each row has a response as sent by an upstream and as expected by the client.
func TestResponse_IsForwardedUnchanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method string
		answer       string
		line         string
		fields       []string // without via
		body         string
		trailer      []string
	}{
		{
			name:   "a body with a length",
			answer: "HTTP/1.1 200 OK\nDate: then\nServer: up/1\nContent-Type: application/json\nContent-Length: 2\n\n{}",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"date: then", "server: up/1", "content-type: application/json", "content-length: 2"},
			body:   "{}",
		},
		{
			name:   "no date and no type are made up",
			answer: "HTTP/1.1 200 OK\nContent-Length: 6\n\n<html>",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-length: 6"},
			body:   "<html>",
		},
		{
			name:   "no length is made up",
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"transfer-encoding: chunked"},
			body:   "abcde",
		},
		{
			name:   "an empty chunked body",
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"transfer-encoding: chunked"},
		},
		{
			name:   "an empty body with a length",
			answer: "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-length: 0"},
		},
		{
			name:   "a body that ends with the connection",
			answer: "HTTP/1.1 200 OK\nConnection: close\n\nabc",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"transfer-encoding: chunked"},
			body:   "abc",
		},
		{
			name:   "a compressed body stays so",
			answer: "HTTP/1.1 200 OK\nContent-Encoding: gzip\nVary: Accept-Encoding\nContent-Length: 4\n\n\x1f\x8b\x00\xff",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-encoding: gzip", "vary: Accept-Encoding", "content-length: 4"},
			body:   "\x1f\x8b\x00\xff",
		},
		{
			name: "fields stay, repeated and empty ones too",
			answer: "HTTP/1.1 429 Too Many Requests\nSet-Cookie: a=1\nset-cookie: b=2\nX-Empty:\nRetry-After: 3\nX-RateLimit-Reset-Requests: 1s\n" +
				"Access-Control-Allow-Origin: *\nAlt-Svc: h3\nStrict-Transport-Security: max-age=1\nWWW-Authenticate: Bearer\nContent-Length: 0\n\n",
			line: "HTTP/1.1 429 Too Many Requests",
			fields: []string{
				"set-cookie: a=1", "set-cookie: b=2", "x-empty: ", "retry-after: 3", "x-ratelimit-reset-requests: 1s",
				"access-control-allow-origin: *", "alt-svc: h3", "strict-transport-security: max-age=1", "www-authenticate: Bearer", "content-length: 0",
			},
		},
		{
			name:   "hop-by-hop fields stay behind",
			answer: "HTTP/1.1 200 OK\nConnection: keep-alive, X-Hop\nKeep-Alive: timeout=5\nX-Hop: 1\nX-End: 2\nProxy-Authenticate: Basic\nUpgrade: h2c\nContent-Length: 0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"x-end: 2", "content-length: 0"},
		},
		{
			name:   "a header of 100 KB",
			answer: "HTTP/1.1 200 OK\nX-Big: " + strings.Repeat("v", 100<<10) + "\nContent-Length: 0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"x-big: " + strings.Repeat("v", 100<<10), "content-length: 0"},
		},
		{
			name:   "an event stream, with leave to pass proxies unbuffered",
			answer: "HTTP/1.1 200 OK\nContent-Type: Text/Event-Stream; charset=utf-8\nTransfer-Encoding: chunked\n\n9\ndata: 1\n\n0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-type: Text/Event-Stream; charset=utf-8", "transfer-encoding: chunked", "x-accel-buffering: no"},
			body:   "data: 1\r\n",
		},
		{
			name:   "an event stream that decides on buffering itself",
			answer: "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nX-Accel-Buffering: yes\nContent-Length: 0\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-type: text/event-stream", "x-accel-buffering: yes", "content-length: 0"},
		},
		{
			name:   "a redirect that isn't followed is the client's",
			answer: "HTTP/1.1 307 Temporary Redirect\nLocation: https://192.168.0.1/%2F\nContent-Length: 0\n\n",
			line:   "HTTP/1.1 307 Temporary Redirect",
			fields: []string{"location: https://192.168.0.1/%2F", "content-length: 0"},
		},
		{
			name:   "204 has no body and no length",
			answer: "HTTP/1.1 204 No Content\nX-A: b\n\n",
			line:   "HTTP/1.1 204 No Content",
			fields: []string{"x-a: b"},
		},
		{
			name:   "304 keeps the fields that describe what was not modified",
			answer: "HTTP/1.1 304 Not Modified\nETag: \"x\"\nContent-Type: text/plain\nContent-Length: 42\n\n",
			line:   "HTTP/1.1 304 Not Modified",
			fields: []string{"etag: \"x\"", "content-type: text/plain", "content-length: 42"},
		},
		{
			name:   "HEAD keeps the length of what GET would give",
			method: "HEAD",
			answer: "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 123456789\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: []string{"content-type: text/plain", "content-length: 123456789"},
		},
		{
			name:   "HEAD of what has no length",
			method: "HEAD",
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
			line:   "HTTP/1.1 200 OK",
			fields: nil,
		},
		{
			name:    "an announced trailer",
			answer:  "HTTP/1.1 200 OK\nTrailer: X-Sum, X-Unsent\nTransfer-Encoding: chunked\nX-Sum: before\n\n3\nabc\n0\nX-Sum: 7\n\n",
			line:    "HTTP/1.1 200 OK",
			fields:  []string{"trailer: X-Sum, X-Unsent", "transfer-encoding: chunked", "x-sum: before"},
			body:    "abc",
			trailer: []string{"X-Sum: 7"},
		},
		{
			name:    "a trailer that was not announced",
			answer:  "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 7\n\n",
			line:    "HTTP/1.1 200 OK",
			fields:  []string{"transfer-encoding: chunked"},
			body:    "abc",
			trailer: []string{"X-Sum: 7"},
		},
		{
			name:   "an unknown status",
			answer: "HTTP/1.1 799 \nContent-Length: 0\n\n",
			line:   "HTTP/1.1 799 status code 799",
			fields: []string{"content-length: 0"},
		},
		{
			name:   "an error of the upstream's",
			answer: "HTTP/1.1 500 Internal Server Error\nContent-Type: application/json\nContent-Length: 12\n\n{\"error\":{}}",
			line:   "HTTP/1.1 500 Internal Server Error",
			fields: []string{"content-type: application/json", "content-length: 12"},
			body:   "{\"error\":{}}",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					conn.Send(test.answer)
				}
			})
			method := test.method
			if method == "" {
				method = "GET"
			}
			client := connect(t, forward(t, url))
			client.Send(method + " /v1/x HTTP/1.1\nHost: x\n\n")
			head, err := client.ReadHead()
			if err != nil {
				t.Fatal(err)
			}
			got := upstreamtest.Request{Head: head}
			if method != "HEAD" && !strings.Contains(head.Line, " 304 ") {
				if got, err = client.ReadBody(head); err != nil {
					t.Fatal(err)
				}
			}
			if got.Line != test.line {
				t.Errorf("client received %q, want %q", got.Line, test.line)
			}
			if got, want := fieldsOf(got.Fields, "via"), fieldsOf(test.fields); !slices.Equal(got, want) {
				t.Errorf("client got fields %.2000q, want %.2000q", got, want)
			}
			if got, want := got.Values("Via"), []string{"1.1 openai-connect"}; !slices.Equal(got, want) {
				t.Errorf("client got via %q, want %q", got, want)
			}
			if got.Body != test.body {
				t.Errorf("client got body %q, want %q", got.Body, test.body)
			}
			if !slices.Equal(got.Trailer, test.trailer) {
				t.Errorf("client received trailer %q, want %q", got.Trailer, test.trailer)
			}

			// The connection is in order for the next request.
			client.Send("GET /v1/y HTTP/1.1\nHost: x\nConnection: close\n\n")
			if next, err := client.ReadHead(); err != nil || next.Line == "" {
				t.Errorf("the next request got %q, %v", next.Line, err)
			}
		})
	}
}

func TestVia_IsAppended(t *testing.T) {
	t.Parallel()
	heads := make(chan upstreamtest.Head, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if request, err := conn.ReadRequest(); err == nil {
			heads <- request.Head
			conn.Send("HTTP/1.0 204 No Content\nVia: 1.1 far\n\n")
		}
	})
	client := connect(t, forward(t, url))
	client.Send("GET / HTTP/1.1\nHost: x\nVia: 1.0 near, 1.1 nearer\n\n")
	head := await(t, heads, "the request")
	if got, want := head.Values("Via"), []string{"1.0 near, 1.1 nearer", "1.1 " + serverName}; !slices.Equal(named(got), want) {
		t.Errorf("upstream received %q, want %q", got, want)
	}
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := head.Values("Via"), []string{"1.1 far", "1.0 openai-connect"}; !slices.Equal(got, want) {
		t.Errorf("client received %q, want %q", got, want)
	}
}

// Nothing is lost with HTTP/2 on both sides.
func TestHTTP2_ForwardsUnchangedOnBothSides(t *testing.T) {
	t.Parallel()
	const body = "some body"
	address := forwardWith(t, serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		received, err := io.ReadAll(r.Body)
		if err != nil || string(received) != body || r.RequestURI != "/v1//a%2Fb?x;y" || r.Method != "BREW" || r.ContentLength != -1 {
			t.Errorf("upstream got %s %s with %d bytes, %q, %v", r.Method, r.RequestURI, r.ContentLength, received, err)
		}
		for name, want := range map[string][]string{
			"X-Twice": {"a", "b"}, "Via": {"2 " + serverName}, "Te": {"trailers"}, "User-Agent": nil, "Accept-Encoding": nil,
		} {
			if got := r.Header.Values(name); !slices.Equal(named(got), want) {
				t.Errorf("upstream received %s: %q, want %q", name, got, want)
			}
		}
		if got := r.Trailer.Get("X-Sum"); got != "7" {
			t.Errorf("upstream received trailer %q", got)
		}
		w.Header().Set("Link", "</hint>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		header := w.Header()
		header["Date"], header["Content-Type"], header["Content-Length"] = nil, nil, nil
		header["Set-Cookie"] = []string{"a=1", "b=2"}
		header.Set("Trailer", "X-Sum")
		io.WriteString(w, body) // shows at the other end
		header.Set("X-Sum", "8")
	}), noOptions)
	client := clients[1].new(t)
	interim := make(chan string, 1)
	req, err := http.NewRequestWithContext(withInterim(t.Context(), interim), "BREW", "http://"+address+"/", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "/v1//a%2Fb?x;y"
	req.Header = http.Header{"X-Twice": {"a", "b"}, "Te": {"trailers"}, "User-Agent": nil}
	req.Trailer = http.Header{"X-Sum": {"7"}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	received, err := io.ReadAll(resp.Body)
	if err != nil || string(received) != body {
		t.Errorf("client received %q, %v", received, err)
	}
	if got := await(t, interim, "the early hints"); got != "103 </hint>" {
		t.Errorf("client received interim responses %q", got)
	}
	want := http.Header{"Set-Cookie": {"a=1", "b=2"}, "Via": {"2 openai-connect"}}
	if len(resp.Header) != len(want) || !slices.Equal(resp.Header["Set-Cookie"], want["Set-Cookie"]) || !slices.Equal(resp.Header["Via"], want["Via"]) {
		t.Errorf("client received headers %q, want %q", resp.Header, want)
	}
	if got := resp.Trailer.Get("X-Sum"); got != "8" {
		t.Errorf("client received trailer %q", got)
	}
}
