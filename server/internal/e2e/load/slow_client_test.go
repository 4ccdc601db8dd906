package load_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A client that doesn't finish a header in time is disconnected, even if it keeps
// sending.
func TestSlowClient_UnfinishedHeader(t *testing.T) {
	t.Parallel()
	front := servertest.StartWith(t, server.Config{Upstream: e2etest.StartStrictUpstream(t).URL}, e2etest.ShortTimeouts)
	for _, start := range []string{"", "G", "GET /v1/x HTTP/1.1\r\n", "GET /v1/x HTTP/1.1\r\nHost: x\r\nX: y", http2.ClientPreface[:10]} {
		client := e2etest.DialRaw(t, front)
		if _, err := io.WriteString(client, start); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, client.Reader)
		}()
		for trickling := strings.Contains(start, "Host"); trickling; {
			_, err := io.WriteString(client, "z")
			trickling = err == nil
		}
		e2etest.Receive(t, ended, "the end of the connection after "+start)
	}
}

// A client that starts a body and sends nothing more gets an error.
func TestSlowClient_StalledBody(t *testing.T) {
	t.Parallel()
	front := servertest.StartWith(t, server.Config{Upstream: e2etest.StartStrictUpstream(t).URL}, e2etest.ShortTimeouts)
	is := func(status, text string) func(upstreamtest.Request) bool {
		return func(answer upstreamtest.Request) bool {
			return strings.Contains(answer.Line, status) && strings.Contains(answer.Body, text)
		}
	}
	const why = "\"the client sent nothing of the request body for 100ms\""
	told := map[string]func(upstreamtest.Request) bool{
		"/v1/x application/json":                      is(" 408 ", why),
		"/v1/x no/such":                               is(" 408 ", why),
		e2etest.CreateProcedure + " application/json": is(" 504 ", why),
		e2etest.CreateProcedure + " no/such":          is(" 415 ", "content-type"),
	}
	over2 := map[string]string{"/v1/x": "408", e2etest.CreateProcedure: "504"}
	for _, path := range []string{"/v1/x", e2etest.CreateProcedure} {
		for _, framing := range []string{"Content-Length: 10\r\n\r\n{", "Content-Length: 100000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "Transfer-Encoding: chunked\r\n\r\n5"} {
			for _, kind := range []string{"application/json", "no/such"} {
				head := "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind + "\r\n" + framing
				client := e2etest.DialRaw(t, front)
				if _, err := io.WriteString(client, head); err != nil {
					t.Fatal(err)
				}
				answer, err := client.ReadRequest()
				if err != nil {
					t.Errorf("%q: got no response: %v", head, err)
				}
				if !told[path+" "+kind](answer) {
					t.Errorf("%q: got response %s: %s", head, answer.Line, answer.Body)
				}
				if rest, _ := io.ReadAll(client.Reader); len(rest) > 0 {
					t.Errorf("%q: got data after the response: %q", head, rest)
				}
			}
		}
		client := e2etest.DialHTTP2(t, front)
		if err := client.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndHeaders: true,
			BlockFragment: client.Encode(e2etest.RequestFields("POST", path, e2etest.HeaderField{Name: "content-type", Value: "application/json"})),
		}); err != nil {
			t.Fatal(err)
		}
		if outcome := client.Outcome(1); outcome != over2[path] {
			t.Errorf("%s over HTTP/2: got outcome %s", path, outcome)
		}
	}
}

// stalledReaders are clients that request an endless response and don't read it.
func stalledReaders(t *testing.T, front *servertest.Front) map[string]func() {
	t.Helper()
	return map[string]func(){
		"HTTP/1.1": func() {
			client := e2etest.DialRaw(t, front)
			if err := client.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
				t.Error(err)
			}
			client.Send("GET /v1/endless HTTP/1.1\nHost: x\n\n")
		},
		"HTTP/2 without a window": func() {
			client := e2etest.DialHTTP2(t, front, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			if err := client.Send(1, e2etest.RequestFields("GET", "/v1/endless")); err != nil {
				t.Error(err)
			}
			if outcome := client.Outcome(1); outcome != "200" {
				t.Errorf("got outcome %s", outcome)
			}
			if outcome := client.Outcome(1); outcome != "reset" {
				t.Errorf("got outcome %s, want reset", outcome)
			}
			if err := client.Send(3, e2etest.RequestFields("GET", "/v1/empty")); err != nil || client.Outcome(3) != "200" {
				t.Errorf("connection is unusable: %v", err)
			}
		},
		"HTTP/2 without reads": func() {
			client := e2etest.DialHTTP2(t, front, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
			if err := client.WriteWindowUpdate(0, 1<<30); err != nil {
				t.Error(err)
			}
			if err := client.Send(1, e2etest.RequestFields("GET", "/v1/endless")); err != nil {
				t.Error(err)
			}
		},
	}
}

// A client that reads nothing of its response is disconnected, and the upstream
// connection is released. Clients that read from a much slower upstream are not
// affected.
func TestSlowClient_StalledReader(t *testing.T) {
	t.Parallel()
	ended, think := make(chan struct{}), make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			switch request.Target() {
			case "/v1/endless":
				conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
				piece := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
				for err == nil {
					_, err = io.WriteString(conn, piece)
				}
				ended <- struct{}{}
				return
			case "/v1/empty":
				conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
			default:
				conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
				conn.SendChunk("data: 1\n\n")
				<-think
				conn.SendChunk("data: 2\n\n")
				conn.SendChunk("")
			}
		}
	})
	front := servertest.StartWith(t, server.Config{Upstream: url}, e2etest.ShortTimeouts)
	type slow struct {
		name string
		resp *http.Response
	}
	var models []slow
	for _, over2 := range []bool{false, true} {
		for _, body := range []string{"", "{}"} {
			req, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+"/v1/slow", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := servertest.HTTPClient(t, over2).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			models = append(models, slow{fmt.Sprintf("over HTTP/2: %v, with the body %q", over2, body), resp})
		}
	}
	for name, stall := range stalledReaders(t, front) {
		start := time.Now()
		stall()
		e2etest.Receive(t, ended, "the end of the upstream's connection for "+name)
		t.Logf("%s: disconnected after %v", name, time.Since(start))
	}
	close(think)
	for _, model := range models {
		if body, err := io.ReadAll(model.resp.Body); err != nil || string(body) != "data: 1\n\ndata: 2\n\n" {
			t.Errorf("%s: got %q and error %v", model.name, body, err)
		}
	}
}

// A header over the limit is rejected with 431. HTTP/2 announces the limit.
func TestSlowClient_HeaderOverLimit(t *testing.T) {
	t.Parallel()
	const limit = 16 << 10
	front := servertest.StartWith(t, server.Config{Upstream: e2etest.StartStrictUpstream(t).URL}, server.ServeConfig{MaxHeaderBytes: limit})
	for _, row := range []struct {
		name, head string
		status     int
	}{
		{"one field", "GET /v1/x HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 2*limit) + "\r\n\r\n", 431},
		{"many fields", "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", limit/2) + "\r\n", 431},
		{"target", "GET /v1/" + strings.Repeat("y", 2*limit) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"under the limit", "GET /v1/x HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", limit/2) + "\r\n\r\n", 200},
	} {
		if status, answers := e2etest.SendSmuggling(t, front, row.head); status != row.status {
			t.Errorf("%s: got status %d: %q", row.name, status, answers)
		}
	}
	client := e2etest.DialHTTP2(t, front)
	if err := client.Send(1, e2etest.RequestFields("GET", "/v1/x", e2etest.HeaderField{Name: "x", Value: strings.Repeat("y", limit-1000)}, e2etest.HeaderField{Name: "z", Value: strings.Repeat("z", 2000)})); err != nil {
		t.Fatal(err)
	}
	frame, err := client.ReadFrame()
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("got frame %v and error %v", frame, err)
	}
	if bound, ok := settings.Value(http2.SettingMaxHeaderListSize); !ok || bound < limit || bound > 2*limit {
		t.Errorf("got announced limit %d over HTTP/2", bound)
	}
	if outcome := client.Outcome(1); outcome != "431" {
		t.Errorf("got outcome %s over HTTP/2", outcome)
	}
}

// At the connection limit, a new connection replaces an idle one, or waits for
// one.
func TestConnectionLimit_ReplacesIdleConnections(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			if request.Target() == "/v1/held" {
				held <- struct{}{}
				<-release
			}
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
		}
	})
	front := servertest.StartWith(t, server.Config{Upstream: url}, server.ServeConfig{MaxConnections: 2})
	ask := func(client *upstreamtest.Conn, target string) {
		client.Send("GET " + target + " HTTP/1.1\nHost: x\n\n")
	}
	idle, busy := e2etest.DialRaw(t, front), e2etest.DialRaw(t, front)
	ask(idle, "/v1/x")
	if _, err := idle.ReadRequest(); err != nil {
		t.Fatal(err)
	}
	ask(busy, "/v1/held")
	e2etest.Receive(t, held, "the call")

	third := e2etest.DialRaw(t, front)
	ask(third, "/v1/held")
	e2etest.Receive(t, held, "the third connection's call")
	if _, err := idle.ReadHead(); err == nil {
		t.Error("idle connection is still open")
	}
	fourth := e2etest.DialRaw(t, front)
	ask(fourth, "/v1/x")
	release <- struct{}{}
	if answer, err := fourth.ReadRequest(); err != nil || answer.Body != "ok" {
		t.Errorf("fourth connection: got %q and error %v", answer.Body, err)
	}
	close(release)
}
