package headers_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// wireCall is a typed call as an HTTP request, with exactly the given headers.
type wireCall struct {
	e2etest.HTTPRequest

	name   string
	stream bool
}

// wireCalls returns the smallest call in every protocol.
func wireCalls(t *testing.T) []wireCall {
	t.Helper()
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	calls := []wireCall{{HTTPRequest: e2etest.ConnectGET, name: "Connect GET"}}
	for _, row := range []struct {
		name, media string
		body        string
		http2       bool
		stream      bool
	}{
		{"Connect", "application/proto", string(message), false, false},
		{"Connect over HTTP/2", "application/proto", string(message), true, false},
		{"Connect JSON", "application/json", string(text), false, false},
		{"Connect stream", "application/connect+proto", string(e2etest.Envelope(0, message)), false, true},
		{"Connect stream over HTTP/2", "application/connect+proto", string(e2etest.Envelope(0, message)), true, true},
		{"Connect JSON stream", "application/connect+json", string(e2etest.Envelope(0, text)), false, true},
		{"gRPC", "application/grpc", string(e2etest.Envelope(0, message)), true, false},
		{"gRPC stream", "application/grpc+proto", string(e2etest.Envelope(0, message)), true, true},
		{"gRPC JSON", "application/grpc+json", string(e2etest.Envelope(0, text)), true, false},
		{"gRPC-Web", "application/grpc-web", string(e2etest.Envelope(0, message)), false, false},
		{"gRPC-Web stream over HTTP/2", "application/grpc-web+proto", string(e2etest.Envelope(0, message)), true, true},
	} {
		path := e2etest.CreateProcedure
		if row.stream {
			path = e2etest.StreamProcedure
		}
		header := http.Header{"Content-Type": {row.media}, "Te": {"trailers"}}
		calls = append(calls, wireCall{e2etest.HTTPRequest{Method: http.MethodPost, Path: path, Header: header, Body: row.body, HTTP2: row.http2}, row.name, row.stream})
	}
	return calls
}

// Request headers that are forwarded unchanged.
var forwardedHeaders = http.Header{
	"Api-Key":             {"azure"},
	"Authorization":       {"Bearer another-key"},
	"Baggage":             {"a=b,c=d"},
	"Cache-Control":       {"no-cache"},
	"Idempotency-Key":     {"a b, c"},
	"Openai-Beta":         {"assistants=v2", "realtime=v1"},
	"Openai-Organization": {"org-1"},
	"Openai-Project":      {"proj-1"},
	"Traceparent":         {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	"User-Agent":          {"tests/1.0"},
	"X-Api-Key":           {"anthropic"},
	"X-Client-Request-Id": {"8c8c"},
	"X-Empty":             {""},
	"X-Same":              {"one", "one"},
	"X-Stainless-Lang":    {"go"},
	"X-Tag":               {"one", "two, three", "", "four"},
	"X-Title":             {"OpenRouter's"},

	// Names similar to those of blocked headers.
	"Connect":        {"1"},
	"Cookies":        {"1"},
	"Grpc":           {"1"},
	"Hosts":          {"1"},
	"Http-Referer":   {"https://example.com"},
	"Origins":        {"1"},
	"Secret":         {"1"},
	"Teapot":         {"1"},
	"X-Accept":       {"1"},
	"X-Connect-Tag":  {"1"},
	"X-Content-Tag":  {"1"},
	"X-Forwarded":    {"1"},
	"X-Grpc-Tag":     {"1"},
	"X-Grpc-Web-Tag": {"1"},
	"X-Real-Ip-Tag":  {"1"},
	"X-Sec-Tag":      {"1"},
}

// Request headers that are not forwarded, several of each family.
var blockedHeaders = http.Header{
	"Accept":                     {"application/json"},
	"Accept-Charset":             {"utf-8"},
	"Accept-Encoding":            {"gzip"},
	"Accept-Language":            {"de"},
	"Connect-Accept-Encoding":    {"identity"},
	"Connect-Protocol-Version":   {"1"},
	"Connect-Tag":                {"1"},
	"Connect-Timeout-Ms":         {"19000"},
	"Content-Language":           {"en"},
	"Content-Location":           {"/"},
	"Content-Security-Policy":    {"none"},
	"Cookie":                     {"session=1"},
	"Forwarded":                  {"for=192.0.2.1"},
	"Grpc-Accept-Encoding":       {"identity"},
	"Grpc-Previous-Rpc-Attempts": {"1"},
	"Grpc-Tags-Bin":              {"AAAA"},
	"Grpc-Timeout":               {"19S"},
	"Grpc-Trace-Bin":             {"AAAA"},
	"Origin":                     {"https://example.com"},
	"Proxy-Authenticate":         {"Basic"},
	"Proxy-Authorization":        {"Basic eDp5"},
	"Referer":                    {"https://example.com/"},
	"Sec-Ch-Ua":                  {"x"},
	"Sec-Fetch-Mode":             {"cors"},
	"Sec-Websocket-Protocol":     {"x"},
	"Te":                         {"trailers"},
	"Via":                        {"1.1 somewhere"},
	"X-Forwarded-For":            {"192.0.2.1", "192.0.2.2"},
	"X-Forwarded-Host":           {"example.com"},
	"X-Forwarded-Proto":          {"https"},
	"X-Forwarded-Tag":            {"1"},
	"X-Grpc-Web":                 {"1"},
	"X-Real-Ip":                  {"192.0.2.1"},
	"X-User-Agent":               {"grpc-web-javascript/0.1"},
}

// Headers of one HTTP/1.1 connection. HTTP/2 has no such fields, and servers
// reject them.
var connectionHeaders = http.Header{
	"Connection":       {"keep-alive, X-Private", "x-secret-too"},
	"Keep-Alive":       {"timeout=5"},
	"Proxy-Connection": {"keep-alive"},
	"Upgrade":          {"h2c"},
	"X-Private":        {"1"},
	"X-Secret-Too":     {"1"},
	"Expect":           {"100-continue"},
}

func TestHeaders_ForwardedInEachProtocol(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			servertest.Events(e2etest.HelloChunk, "[DONE]")(w, r)
			return
		}
		servertest.JSON(http.StatusOK, e2etest.HelloCompletion)(w, r)
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, call := range wireCalls(t) {
		t.Run(call.name, func(t *testing.T) {
			own := call.Header
			call.Header = forwardedHeaders.Clone()
			maps.Copy(call.Header, blockedHeaders)
			if !call.HTTP2 {
				maps.Copy(call.Header, connectionHeaders)
			}
			maps.Copy(call.Header, own)
			if response, body := call.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK {
				t.Fatalf("got status %s and body %q", response.Status, body)
			}
			want := forwardedHeaders.Clone()
			want.Set("Accept", "application/json")
			want.Set("Accept-Encoding", "identity")
			if call.stream {
				want.Set("Accept", "text/event-stream")
			}
			got := e2etest.TakeOne(t, upstream)
			if call.Method == http.MethodPost {
				want.Set("Content-Type", "application/json")
				want.Set("Content-Length", strconv.Itoa(len(got.Body)))
			}
			e2etest.CheckHeader(t, got.Header, want)
		})
	}
}

// Response header lines that are returned.
var returnedLines = []string{
	"openai-organization: org-1",
	"OpenAI-Processing-MS: 318",
	"openai-version: 2020-10-01",
	"Retry-After: 20",
	"retry-after-ms: 19500",
	"x-ratelimit-limit-requests: 10000",
	"x-ratelimit-remaining-requests: 9999",
	"x-ratelimit-reset-tokens: 30ms",
	"X-Request-ID: req_1",
	"x-tag: one", "X-Tag: two, three", "X-TAG:", "x-tag: one",
	"x-empty:",
	"Allow: GET",
	"Cache-Control: no-store",
	"CF-RAY: 8c8c",
	"ETag: \"1\"",
	"Location: /elsewhere",
	"Link: </a>; rel=next",
	"Vary: Authorization",
	"WWW-Authenticate: Bearer",
	"X-Content-Type-Options: nosniff",

	// Names similar to those of blocked headers.
	"Accept-Ranges: none",
	"Age: 1",
	"Connect: 1",
	"Dates: 1",
	"Grpc: 1",
	"Servers: 1",
	"Server-Timing: db;dur=53",
	"Set-Cookies: 1",
	"Trailer-Tag: 1",
	"X-Access-Control-Tag: 1",
	"X-Connect-Tag: 1",
	"X-Content-Tag: 1",
	"X-Grpc-Tag: 1",
}

// Response header lines that are not returned, several of each family.
var blockedLines = []string{
	"Accept-Encoding: br",
	"Access-Control-Allow-Credentials: true",
	"Access-Control-Allow-Origin: https://example.com",
	"Access-Control-Expose-Headers: X-Request-ID",
	"Alt-Svc: h3=\":443\"",
	"Connect-Content-Encoding: br",
	"Connect-Tag: 1",
	"Connection: keep-alive, X-Private", "Connection: x-secret-too",
	"Content-Disposition: inline",
	"Content-Language: en",
	"Content-Security-Policy: none",
	"Date: Tue, 15 Nov 1994 08:12:31 GMT",
	"grpc-encoding: br",
	"grpc-message: no",
	"grpc-status: 13",
	"grpc-status-details-bin: AAAA",
	"Keep-Alive: timeout=5",
	"Proxy-Authenticate: Basic",
	"Proxy-Connection: keep-alive",
	"Server: cloudflare",
	"Set-Cookie: __cf_bm=1", "Set-Cookie: b=2",
	"Strict-Transport-Security: max-age=1",
	"Te: trailers",
	"Upgrade: h2c",
	"X-Private: 1",
	"X-Secret-Too: 1",
}

func TestHeaders_ReturnedInEachProtocol(t *testing.T) {
	t.Parallel()
	error429 := func(fields ...string) e2etest.Script {
		return e2etest.Reply(429, e2etest.RateLimitedBody, append(fields, e2etest.JSONType)...)
	}
	scripts := make(map[string]e2etest.Script)
	for name, fields := range map[string][]string{"plain": nil, "all": slices.Concat(returnedLines, blockedLines)} {
		scripts["an answer, "+name] = e2etest.Reply(200, e2etest.HelloCompletion, append(fields, e2etest.JSONType)...)
		scripts["a stream, "+name] = e2etest.StreamWith(fields, e2etest.Event(e2etest.HelloChunk), e2etest.DoneEvent)
		scripts["a stream with an error, "+name] = e2etest.StreamWith(fields, e2etest.Event(e2etest.HelloChunk), e2etest.Event(e2etest.RateLimitedBody))
		scripts["an error, "+name] = error429(fields...)
		scripts["no answer, "+name] = e2etest.Reply(200, "<html></html>", append(fields, e2etest.HTMLType)...)
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, call := range wireCalls(t) {
		kinds := []string{"an answer", "an error", "no answer"}
		if call.stream {
			kinds = []string{"a stream", "a stream with an error", "an error", "no answer"}
		}
		for _, name := range kinds {
			t.Run(call.name+": "+name, func(t *testing.T) {
				run := func(fields string) (http.Header, string) {
					call.Header = call.Header.Clone()
					if call.Header == nil {
						call.Header = make(http.Header)
					}
					call.Header.Set(e2etest.ScriptHeader, name+", "+fields)
					response, body := call.Do(e2etest.Context(t), t, front)
					header := e2etest.WithoutHeaders(response.Header)
					maps.Copy(header, response.Trailer)
					// An error repeats the metadata in trailers; see TestTrailers.
					maps.DeleteFunc(header, func(name string, values []string) bool {
						repeated, isTrailer := strings.CutPrefix(name, "Trailer-")
						return isTrailer && slices.Equal(header[repeated], values)
					})
					return header, body
				}
				want, plainBody := run("plain")
				got, body := run("all")
				for _, line := range returnedLines {
					name, value, _ := strings.Cut(line, ":")
					key := http.CanonicalHeaderKey(name)
					want[key] = append(want[key], strings.TrimSpace(value))
				}
				// Values from two sources have no defined order.
				slices.Sort(want["Vary"])
				slices.Sort(got["Vary"])
				if name == "an answer" || name == "a stream" {
					if body != plainBody {
						t.Errorf("got body %q, want %q", body, plainBody)
					}
					e2etest.CheckHeader(t, got, want)
					return
				}
				// The error contains the request ID and the retry delay of the headers.
				for _, name := range []string{"Content-Length", "Grpc-Status-Details-Bin"} {
					delete(got, name)
					delete(want, name)
				}
				// A gRPC-Web response has its trailer in the body unless it is trailers-only.
				for _, name := range []string{"Grpc-Message", "Grpc-Status"} {
					if got[name] == nil {
						delete(want, name)
					}
				}
				e2etest.CheckHeader(t, got, want)
			})
		}
	}
}
