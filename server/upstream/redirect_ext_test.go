package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// arrival is a request received by a host of a test.
type arrival struct {
	method, target, host string
	header               http.Header
	body                 string
}

// serveAnswers responds over HTTP/1.1, on a raw socket, with the response for the target, or
// with 200. It returns the received requests.
func serveAnswers(t *testing.T, answers map[string]string) (url string, arrivals <-chan arrival) {
	t.Helper()
	arrived := make(chan arrival, 64)
	return upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			header := http.Header{}
			for _, field := range request.Fields {
				name, value, _ := strings.Cut(field, ": ")
				header.Add(name, value)
			}
			method, _, _ := strings.Cut(request.Line, " ")
			arrived <- arrival{method, request.Target(), header.Get("Host"), header, request.Body}
			if answer, ok := answers[request.Target()]; ok {
				conn.Send(answer)
			} else {
				conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\nX-Final: yes\n\n")
			}
		}
	}), arrived
}

// redirect returns a redirect to a location.
func redirect(status int, location string) string {
	return fmt.Sprintf("HTTP/1.1 %d x\nLocation: %s\nContent-Length: 5\n\nmoved", status, location)
}

// serveHTTP2 is serveAnswers over HTTP/2, with a redirect at /v1/from.
func serveHTTP2(t *testing.T, status int) (config upstream.Config, arrivals <-chan arrival) {
	t.Helper()
	arrived := make(chan arrival, 64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		arrived <- arrival{r.Method, r.RequestURI, r.Host, r.Header, string(body)}
		if r.RequestURI == "/v1/from" {
			w.Header().Set("Location", "/to")
			w.WriteHeader(status)
			io.WriteString(w, "moved") // shows at the other end
			return
		}
		w.Header().Set("X-Final", "yes")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)}, arrived
}

var large = strings.Repeat("0123456789", 20_000)

// bodies are the kinds of bodies. All except streamed ones can be sent again.
var bodies = []struct {
	name, text string
	streamed   bool
	give       func(*upstream.Request)
}{
	{"no body", "", false, func(*upstream.Request) {}},
	{"a small body", "small", false, func(r *upstream.Request) {
		r.Body, r.ContentLength = io.MultiReader(strings.NewReader("sm"), strings.NewReader("all")), 5
	}},
	{"a small body in memory", "small", false, func(r *upstream.Request) { r.Body = bytes.NewReader([]byte("small")) }},
	{"a large body in memory", large, false, func(r *upstream.Request) { r.Body = bytes.NewReader([]byte(large)) }},
	{"a streamed body", "small", true, func(r *upstream.Request) { r.Body, r.ContentLength = strings.NewReader("small"), -1 }},
	{"a large body of known length", large, true, func(r *upstream.Request) {
		r.Body, r.ContentLength = struct{ io.Reader }{strings.NewReader(large)}, int64(len(large))
	}},
}

func TestRedirect_KeepsOrChangesMethodAndBodyByStatus(t *testing.T) {
	t.Parallel()
	type rule map[string]string // the method that becomes of another, without a body; it is kept if it isn't here
	toGET := rule{"GET": "GET", "POST": "GET", "PUT": "GET", "PATCH": "GET", "DELETE": "GET", "BREW": "GET", "HEAD": "HEAD"}
	rules := map[int]rule{301: {"POST": "GET"}, 302: {"POST": "GET"}, 303: toGET, 307: {}, 308: {}}
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, status := range slices.Sorted(maps.Keys(rules)) {
			var config upstream.Config
			var arrivals <-chan arrival
			if version == "HTTP/2" {
				config, arrivals = serveHTTP2(t, status)
			} else {
				config.BaseURL, arrivals = serveAnswers(t, map[string]string{"/v1/from": redirect(status, "/to")})
			}
			up := newUpstream(t, config)
			for _, method := range slices.Sorted(maps.Keys(toGET)) {
				if method == "HEAD" && version == "HTTP/1.1" {
					continue // has an answer without a body: see TestRedirect_KeepsHEAD
				}
				for _, body := range bodies {
					t.Run(fmt.Sprintf("%s: %d to %s with %s", version, status, method, body.name), func(t *testing.T) {
						req := &upstream.Request{Method: method, Target: "/v1/from", Header: http.Header{
							"Content-Type": {"text/plain"}, "Content-Encoding": {"x"}, "Authorization": {"Bearer k"},
							"Range": {"bytes=1-"}, "If-None-Match": {`"e"`}, "X-A": {"b", "c"},
						}}
						body.give(req)
						resp := discard(t, up, req)
						if first := <-arrivals; first.body != body.text {
							t.Errorf("the first request has %d bytes", len(first.body))
						}
						wantMethod, dropped := rules[status][method]
						if !dropped && body.streamed {
							if resp.StatusCode != status || resp.Header.Get("Location") != "/to" {
								t.Errorf("got %d %v, want the redirect", resp.StatusCode, resp.Header)
							}
							return
						}
						want := arrival{method: method, body: body.text}
						if dropped {
							want = arrival{method: wantMethod}
						}
						got := <-arrivals
						if got.method != want.method || got.target != "/to" || got.body != want.body {
							t.Errorf("got %s %s with %d bytes, want %s with %d", got.method, got.target, len(got.body), want.method, len(want.body))
						}
						if content := got.header.Get("Content-Type") + got.header.Get("Content-Encoding"); dropped != (content == "") {
							t.Errorf("got header %v", got.header)
						}
						if got.header.Get("Authorization") != "Bearer k" || got.header.Get("Range") != "bytes=1-" ||
							got.header.Get("If-None-Match") != `"e"` || len(got.header["X-A"]) != 2 || got.header.Get("Referer") != "" {
							t.Errorf("got header %v", got.header)
						}
						if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Final") != "yes" || resp.Header.Get("Location") != "" {
							t.Errorf("got %d %v, want the final response", resp.StatusCode, resp.Header)
						}
					})
				}
			}
		}
	}
}

func TestRedirect_KeepsHEAD(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		url, arrivals := serveAnswers(t, map[string]string{
			"/v1/from": fmt.Sprintf("HTTP/1.1 %d x\nLocation: to\nContent-Length: 5\n\n", status),
			"/v1/to":   "HTTP/1.1 200 OK\nContent-Length: 77\n\n",
		})
		resp := discard(t, newUpstream(t, upstream.Config{BaseURL: url}), &upstream.Request{Method: "HEAD", Target: "/v1/from"})
		<-arrivals
		if got := <-arrivals; got.method != "HEAD" || got.target != "/v1/to" || resp.ContentLength != 77 {
			t.Errorf("%d: got request %s %s and response %v", status, got.method, got.target, resp.Header)
		}
	}
}

func TestRedirect_ResolvesLocation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, target, location string
		want                   string // empty: nowhere
	}{
		{"a path", "/v1/a/b?q=1", "/v2/files", "/v2/files"},
		{"a path under /v1, which is not mapped again", "/v1/a", "/v1/b", "/v1/b"},
		{"a relative path", "/v1/a/b?q=1", "c", "/api/a/c"},
		{"a relative path with dot segments", "/v1/a/b", "../c/./d", "/api/c/d"},
		{"only a query", "/v1/a?q=1", "?q=2&q=3", "/api/a?q=2&q=3"},
		{"an empty query", "/v1/a?q=1", "/b?", "/b?"},
		{"the same origin", "/v1/a", "http://HOST/b?c=d", "/b?c=d"},
		{"the same origin without a path", "/v1/a", "http://HOST", "/"},
		{"the same origin without a scheme", "/v1/a", "//HOST/b", "/b"},
		{"a fragment, which is removed", "/v1/a", "/b?c#d", "/b?c"},
		{"escapes, which are kept", "/v1/a", "/b%2Fc%20d;e?f=%2f+%zz", "/b%2Fc%20d;e?f=%2f+%zz"},
		{"bytes that are invalid in a URL", "/v1/a", "/b c/%2F/é{}?d e", "/b%20c/%2F/%C3%A9%7B%7D?d%20e"},
		{"a path that begins with two slashes", "/v1/a", "http://HOST//b//c", "//b//c"},
		{"a backslash, which is not a slash", "/v1/a", `/\evil.example/b`, "/%5Cevil.example/b"},
		{"two backslashes, which are not slashes", "/v1/a", `\\evil.example/b`, "/api/%5C%5Cevil.example/b"},
		{"a relative path from the asterisk", "*", "b", "/b"},
		{"a relative path from unusual bytes", "/v1/x%2Fy/{}?z", "b", "/api/x%2Fy/b"},

		{"another scheme", "/v1/a", "ftp://HOST/b", ""},
		{"a script", "/v1/a", "javascript:alert(1)", ""},
		{"a scheme without a host", "/v1/a", "http:b", ""},
		{"a user", "/v1/a", "http://me@HOST/b", ""},
		{"a password", "/v1/a", "http://me:s3cret@HOST/b", ""},
		{"no host", "/v1/a", "http:///b", ""},
		{"a host that isn't ASCII", "/v1/a", "http://éxample.example/b", ""},
		{"a host with a zone", "/v1/a", "http://[fe80::1%25eth0]/b", ""},
		{"a zone with a line break", "/v1/a", "http://[fe80::1%25%0d%0aEvil:]/b", ""},
		{"an invalid port", "/v1/a", "http://127.0.0.1:99999/b", ""},
		{"a port of zero", "/v1/a", "http://127.0.0.1:0/b", ""},
		{"a malformed escape", "/v1/a", "/%zz", ""},
		{"nothing", "/v1/a", "", ""},
		{"two locations", "/v1/a", "/b\nLocation: /c", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			targets := make(chan string, 2)
			var location string
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				for first := true; ; first = false {
					request, err := conn.ReadRequest()
					if err != nil {
						return
					}
					targets <- request.Target()
					if first {
						location = strings.ReplaceAll(test.location, "HOST", request.Value("Host"))
						conn.Send(redirect(307, location))
					} else {
						conn.Send("HTTP/1.1 204 No Content\n\n")
					}
				}
			})
			resp := discard(t, newUpstream(t, upstream.Config{BaseURL: url + "/api"}), &upstream.Request{Target: test.target})
			<-targets
			if test.want == "" {
				if first, _, _ := strings.Cut(location, "\n"); resp.StatusCode != 307 || resp.Header.Get("Location") != first {
					t.Errorf("got %d %v, want the redirect", resp.StatusCode, resp.Header)
				}
				return
			}
			if resp.StatusCode != 204 {
				t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
			}
			if got := <-targets; got != test.want {
				t.Errorf("got target %s, want %s", got, test.want)
			}
		})
	}
}

// A slow small body is sent while it is read, and can still be sent again when it is
// complete.
func TestRedirect_ResendsASlowSmallBody(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			head, err := conn.ReadHead()
			if err != nil {
				return
			}
			if head.Target() == "/v1/from" {
				close(begun)
			}
			request, err := conn.ReadBody(head)
			switch {
			case err != nil:
				return
			case head.Target() == "/v1/from":
				conn.Send(redirect(307, "/to"))
			default:
				conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\nX-Body: " + request.Body + "\n\n")
			}
		}
	})
	body, client := io.Pipe()
	go func() {
		io.WriteString(client, "sl") // shows at the other end
		<-begun
		io.WriteString(client, "ow")
		client.Close()
	}()
	up := newUpstream(t, upstream.Config{BaseURL: url})
	resp := discard(t, up, &upstream.Request{Method: "POST", Target: "/v1/from", Body: body, ContentLength: 4})
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Body") != "slow" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// If the body is no longer needed, its end is not awaited.
func TestRedirect_DoesNotWaitForAnUnneededBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status, want int
	}{{303, 204}, {302, 204}, {307, 307}} {
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			head, err := conn.ReadHead()
			switch {
			case err != nil:
			case head.Target() == "/to":
				conn.Send("HTTP/1.1 204 No Content\n\n")
			default:
				conn.Send(redirect(test.status, "/to"))
				conn.WaitEnd()
			}
		})
		body, client := io.Pipe()
		up := newUpstream(t, upstream.Config{BaseURL: url})
		resp := discard(t, up, &upstream.Request{Method: "POST", Target: "/v1/from", Body: body, ContentLength: -1})
		if resp.StatusCode != test.want {
			t.Errorf("%d: got %d, want %d", test.status, resp.StatusCode, test.want)
		}
		client.Close()
	}
}
