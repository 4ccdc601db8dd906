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

// The headers that the server adds for a page: in no other case is one of them
// in an answer of this server, but for those that come from the upstream.
var corsHeaders = []string{
	"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

// preflight is what a browser sends before a request with a JSON body.
func preflight(path string) e2etest.HTTPRequest {
	return e2etest.HTTPRequest{Method: http.MethodOptions, Path: path, Header: http.Header{
		"Access-Control-Request-Method":  {"POST"},
		"Access-Control-Request-Headers": {"authorization,connect-protocol-version,content-type"},
	}}
}

// checkLeave checks that the answer to a preflight gives leave.
func checkLeave(t *testing.T, response *http.Response, body string) {
	t.Helper()
	got := response.Header.Clone()
	got.Del("Date")
	if response.StatusCode != http.StatusNoContent || body != "" {
		t.Errorf("the answer is %s, %q", response.Status, body)
	}
	e2etest.CheckHeader(t, got, http.Header{
		"Access-Control-Allow-Origin":  {"*"},
		"Access-Control-Allow-Methods": {"POST"},
		"Access-Control-Allow-Headers": {"authorization,connect-protocol-version,content-type"},
		"Access-Control-Max-Age":       {"7200"},
	})
}

// checkNoCORS checks that an answer says nothing of origins.
func checkNoCORS(t *testing.T, header http.Header) {
	t.Helper()
	for _, name := range append(corsHeaders, "Vary") {
		if values := header[name]; values != nil {
			t.Errorf("%s is %q", name, values)
		}
	}
}

// checkExposed checks that a page may read every header of an answer that one
// can allow it to, and that is there at all.
func checkExposed(t *testing.T, header http.Header) {
	t.Helper()
	exposed := strings.Split(strings.Join(header["Access-Control-Expose-Headers"], ", "), ", ")
	for _, name := range exposed {
		if name != "" && header[http.CanonicalHeaderKey(name)] == nil {
			t.Errorf("%s is exposed and not there", name)
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

func TestAPageReadsAnyAnswer(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"a completion": servertest.JSON(http.StatusOK, e2etest.HelloCompletion),
		"a stream":     servertest.Events(e2etest.HelloChunk, "[DONE]"),
		"an error":     servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody),
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
					t.Errorf("with an origin, the answer is %s %q, not %s %q", response.Status, same, plain.Status, body)
				}
				if allowed := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(allowed, []string{"*"}) {
					t.Errorf("the origins allowed are %q", allowed)
				}
				checkExposed(t, response.Header)
				e2etest.CheckHeader(t, e2etest.WithoutHeaders(response.Header, corsHeaders...), e2etest.WithoutHeaders(plain.Header))
			})
		}
	}
}

func TestAPageReadsWhyTheUpstreamDidNotAnswer(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: nobody(t)})
	for kind, request := range e2etest.SampleRequests(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			response, _ := request.WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			if allowed := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(allowed, []string{"*"}) {
				t.Errorf("the answer is %s, and the origins allowed are %q", response.Status, allowed)
			}
			checkExposed(t, response.Header)
		})
	}
	t.Run("nor a preflight", func(t *testing.T) {
		t.Parallel()
		response, body := preflight("/v1/chat/completions").WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
		checkLeave(t, response, body)
	})
}

// nobody is the URL of a host that does not answer.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return "http://" + listener.Addr().String()
}

func TestAPreflightIsAnsweredWhereTheUpstreamDoesNot(t *testing.T) {
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
		"nonsense":         e2etest.SendRaw("220 mail.example ESMTP\n"),
		"a broken body":    e2etest.TruncatedReply(1, 200, "Here you are."),
		"an endless body": func(conn *upstreamtest.Conn) {
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
				checkLeave(t, response, body)
			})
		}
	}
	for _, path := range []string{
		e2etest.CreateProcedure, e2etest.StreamProcedure, "/openaiconnect.chat.v1.ChatService/Nothing", "/grpc.health.v1.Health/Check",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			response, body := preflight(path).WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			checkLeave(t, response, body)
		})
	}
}

// The answer that comes in pieces reaches a page in pieces, and what is said
// before the answer, or breaks off in it, is passed as it is.
func TestAnAnswerToAPageIsPassedAsItComes(t *testing.T) {
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
		t.Errorf("the origins allowed are %q", allowed)
	}
	first := make([]byte, len(e2etest.Event("1")))
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != e2etest.Event("1") {
		t.Fatalf("got %q and %v", first, err)
	}
	close(seen)
	if rest, err := io.ReadAll(response.Body); err == nil || string(rest) != e2etest.Event("2") {
		t.Errorf("the rest is %q and ends with %v", rest, err)
	}
}

// A WebSocket is open to every origin, as far as browsers care: the server adds
// nothing.
func TestAPageOpensAWebSocket(t *testing.T) {
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
		t.Errorf("the answer is %q", head)
	}
	text := make([]byte, len("Hello!"))
	if _, err := io.ReadFull(client.Reader, text); err != nil || string(text) != "Hello!" {
		t.Errorf("got %q and %v", text, err)
	}
}
