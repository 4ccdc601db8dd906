package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// corsHeaders are the headers that the server adds to responses to pages. Other
// responses contain them only if the upstream sent them.
var corsHeaders = []string{
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

// preflight returns the preflight of a request with a JSON body.
func preflight(path string) e2etest.HTTPRequest {
	return e2etest.HTTPRequest{Method: http.MethodOptions, Path: path, Header: http.Header{
		"Access-Control-Request-Method":  {"POST"},
		"Access-Control-Request-Headers": {"authorization,connect-protocol-version,content-type"},
	}}
}

// checkPreflightResponse checks that the response to a preflight allows the request.
func checkPreflightResponse(t *testing.T, response *http.Response, body string) {
	t.Helper()
	got := response.Header.Clone()
	got.Del("Date")
	if response.StatusCode != http.StatusNoContent || body != "" {
		t.Errorf("got status %s and body %q, want 204 without a body", response.Status, body)
	}
	e2etest.CheckHeader(t, got, http.Header{
		"Access-Control-Allow-Origin":  {"*"},
		"Access-Control-Allow-Methods": {"POST"},
		"Access-Control-Allow-Headers": {"authorization,connect-protocol-version,content-type"},
		"Access-Control-Max-Age":       {"7200"},
	})
}

// checkNoCORS checks that a response has no CORS headers and no Vary.
func checkNoCORS(t *testing.T, header http.Header) {
	t.Helper()
	for _, name := range append(corsHeaders, "Vary") {
		if values := header[name]; values != nil {
			t.Errorf("got %s %q, want none", name, values)
		}
	}
}

// checkExposed checks that exactly the present headers are exposed, except those
// that are always or never readable.
func checkExposed(t *testing.T, header http.Header) {
	t.Helper()
	exposed := strings.Split(strings.Join(header["Access-Control-Expose-Headers"], ", "), ", ")
	for _, name := range exposed {
		if name != "" && header[http.CanonicalHeaderKey(name)] == nil {
			t.Errorf("%s is exposed but absent", name)
		}
	}
	for name := range header {
		switch name {
		case "Content-Type", "Content-Length", "Set-Cookie", "Date", "Trailer":
		default:
			if !slices.Contains(exposed, name) && !strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s is not exposed", name)
			}
		}
	}
}

func TestCORS_PageReadsEveryResponse(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"completion": servertest.JSON(http.StatusOK, e2etest.HelloCompletion),
		"stream":     servertest.Events(e2etest.HelloChunk, "[DONE]"),
		"error":      servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody),
	} {
		answer := func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), e2etest.ForwardedResponseHeaders)
			handler(w, r)
		}
		upstream := servertest.StartUpstream(t, answer)
		front := servertest.Start(t, server.Config{Upstream: upstream.URL, MaxMessageBytes: 1000})
		for kind, request := range e2etest.SampleRequests(t) {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				plain, body := request.Do(e2etest.Context(t), t, front)
				checkNoCORS(t, e2etest.WithoutHeaders(plain.Header, "Vary"))
				response, same := request.WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
				if response.StatusCode != plain.StatusCode || same != body {
					t.Errorf("got %s %q with an origin, want %s %q", response.Status, same, plain.Status, body)
				}
				if allowed := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(allowed, []string{"*"}) {
					t.Errorf("got allowed origins %q, want *", allowed)
				}
				checkExposed(t, response.Header)
				e2etest.CheckHeader(t, e2etest.WithoutHeaders(response.Header, corsHeaders...), e2etest.WithoutHeaders(plain.Header))
			})
		}
	}
}

func TestCORS_PageReadsErrorOfUnreachableUpstream(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: closedAddr(t)})
	for kind, request := range e2etest.SampleRequests(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			response, _ := request.WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			if allowed := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(allowed, []string{"*"}) {
				t.Errorf("got status %s and allowed origins %q, want *", response.Status, allowed)
			}
			checkExposed(t, response.Header)
		})
	}
	t.Run("preflight", func(t *testing.T) {
		t.Parallel()
		response, body := preflight("/v1/chat/completions").WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
		checkPreflightResponse(t, response, body)
	})
}

// closedAddr returns the URL of a host that refuses connections.
func closedAddr(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return "http://" + listener.Addr().String()
}

func TestCORS_AnswersPreflightIfUpstreamDoesNot(t *testing.T) {
	t.Parallel()
	scripts := map[string]e2etest.Script{
		"200":              e2etest.Reply(200, "Here you are.", "Content-Type: text/plain", "ETag: \"1\""),
		"204":              e2etest.Reply(204, ""),
		"401":              e2etest.Reply(401, `{"error":{"message":"No key."}}`, e2etest.JSONType, "WWW-Authenticate: Basic"),
		"404":              e2etest.Reply(404, "", "Server: nginx"),
		"405":              e2etest.Reply(405, "no", "Allow: GET, POST"),
		"500":              e2etest.Reply(500, "no"),
		"only the methods": e2etest.Reply(204, "", "Access-Control-Allow-Methods: GET", "Access-Control-Expose-Headers: X-Request-ID"),
		"nothing":          e2etest.SendRaw(""),
		"not HTTP":         e2etest.SendRaw("220 mail.example ESMTP\n"),
		"truncated body":   e2etest.TruncatedReply(1, 200, "Here you are."),
		"endless body": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Event("1"))
			conn.WaitEnd()
		},
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for name := range scripts {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %t", name, http2), func(t *testing.T) {
				t.Parallel()
				request := preflight("/v1/chat/completions").WithOrigin(e2etest.Origin)
				request.Header.Set(e2etest.ScriptHeader, name)
				request.HTTP2 = http2
				response, body := request.Do(e2etest.Context(t), t, front)
				checkPreflightResponse(t, response, body)
			})
		}
	}
	for _, path := range []string{
		e2etest.CreateProcedure, e2etest.StreamProcedure, "/openaiconnect.chat.v1.ChatService/Nothing", "/grpc.health.v1.Health/Check",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			response, body := preflight(path).WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			checkPreflightResponse(t, response, body)
		})
	}
}

// Streams, interim responses, and truncation reach a page unchanged.
func TestCORS_StreamsResponseToPage(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	upstream := e2etest.ServeScripts(t, map[string]e2etest.Script{
		"": func(conn *upstreamtest.Conn) {
			conn.Send("HTTP/1.1 103 Early Hints\nLink: </a>\n\n")
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Event("1"))
			<-seen
			conn.SendChunk(e2etest.Event("2"))
			conn.Close()
		},
	})
	front := e2etest.StartServer(t, server.Config{Upstream: upstream})
	ctx, hints := e2etest.Context(t), http.Header(nil)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, header textproto.MIMEHeader) error {
			hints = http.Header(header)
			return nil
		},
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+"/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", e2etest.Origin)
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	e2etest.CheckHeader(t, hints, http.Header{"Link": {"</a>"}})
	if allowed := response.Header.Get("Access-Control-Allow-Origin"); allowed != "*" {
		t.Errorf("got allowed origins %q, want *", allowed)
	}
	first := make([]byte, len(e2etest.Event("1")))
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != e2etest.Event("1") {
		t.Fatalf("got first event %q and error %v", first, err)
	}
	close(seen)
	if rest, err := io.ReadAll(response.Body); err == nil || string(rest) != e2etest.Event("2") {
		t.Errorf("got rest %q and error %v, want event 2 and an error", rest, err)
	}
}

// Browsers don't apply CORS to WebSockets. The server adds no header.
func TestCORS_PageOpensWebSocket(t *testing.T) {
	t.Parallel()
	upstream := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err != nil {
			return
		}
		conn.Send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nX-Request-ID: 1\n\nHello!")
		conn.WaitEnd()
	})
	front := e2etest.StartServer(t, server.Config{Upstream: upstream})
	conn, err := new(net.Dialer).DialContext(e2etest.Context(t), "tcp", front.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := &upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
	client.Send("GET /v1/realtime HTTP/1.1\nHost: x\nOrigin: " + e2etest.Origin + "\nConnection: Upgrade\nUpgrade: websocket\n\n")
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(head.Fields)
	want := []string{"Connection: Upgrade", "Upgrade: websocket", "Via: 1.1 openai-connect", "X-Request-Id: 1"}
	if head.Line != "HTTP/1.1 101 Switching Protocols" || !slices.Equal(head.Fields, want) {
		t.Errorf("got response %q", head)
	}
	text := make([]byte, len("Hello!"))
	if _, err := io.ReadFull(client.Reader, text); err != nil || string(text) != "Hello!" {
		t.Errorf("got data %q and error %v", text, err)
	}
}
