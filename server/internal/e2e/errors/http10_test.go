package errors_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// http10Server is a server for clients over HTTP/1.0, with or without TLS.
type http10Server struct {
	address string
	trust   *tls.Config // nil without TLS
	stop    context.CancelFunc
	ended   <-chan struct{}
}

func startHTTP10(t *testing.T, secure bool, config server.Config, drain time.Duration, limits server.ServeConfig) *http10Server {
	t.Helper()
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listening := limits
	listening.DrainTimeout = drain
	front := &http10Server{address: listener.Addr().String()}
	if secure {
		certified := httptest.NewTLSServer(nil) // only for its certificate
		t.Cleanup(certified.Close)
		listening.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
		roots := x509.NewCertPool()
		roots.AddCert(certified.Certificate())
		front.trust = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(ctx, listener, listening) // an error if calls were aborted
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	front.stop, front.ended = stop, ended
	return front
}

// request sends a request over HTTP/1.0. The error of reading the response body
// shows how the connection ended.
func (f *http10Server) request(t *testing.T, method, path, body string, fields ...string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(e2etest.Timeout)); err != nil {
		t.Fatal(err)
	}
	if f.trust != nil {
		conn = tls.Client(conn, f.trust)
	}
	lines := append([]string{method + " " + path + " HTTP/1.0", "Host: x"}, fields...)
	if method == http.MethodPost {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	if _, err := io.WriteString(conn, strings.Join(append(lines, "", body), "\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func withAndWithoutTLS(t *testing.T, run func(t *testing.T, secure bool)) {
	t.Helper()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, secure)
		})
	}
}

const panicPath = "/test.v1.TestService/Panic"

// registerPanic registers an RPC that sends a message and panics.
func registerPanic(s *connect.Server) {
	spec := e2etest.Spec(e2etest.Call{Method: e2etest.StreamMethod})
	spec.Procedure = panicPath
	s.Register(connect.Method{Spec: spec, Handler: func(_ context.Context, _ connect.Spec, stream connect.ServerStream) error {
		if err := stream.Receive(new(chatv1.CreateChatCompletionRequest)); err != nil {
			return err
		}
		if err := stream.Send(&chatv1.ChatCompletionChunk{Id: "1"}); err != nil {
			return err
		}
		panic(http.ErrAbortHandler)
	}})
}

// A response over HTTP/1.0 without a length looks complete when its connection is
// closed. An aborted response therefore ends with a reset, and without TLS's
// close_notify.
func TestHTTP10_AbortedResponseEndsWithReset(t *testing.T) {
	t.Parallel()
	withAndWithoutTLS(t, func(t *testing.T, secure bool) {
		t.Helper()
		began, held, stalled := make(chan struct{}, 9), make(chan struct{}), make(chan struct{})
		upstream := e2etest.ServeScripts(t, map[string]e2etest.Script{
			"broken": e2etest.TruncatedStream(e2etest.Chunk(0, "a")),
			"held": func(conn *upstreamtest.Conn) {
				e2etest.BeginStream(conn)
				conn.SendChunk(e2etest.Chunk(0, "a"))
				conn.WaitEnd()
				held <- struct{}{}
			},
			"large reply": func(conn *upstreamtest.Conn) {
				e2etest.Reply(200, e2etest.Completion(strings.Repeat("x", 16<<20)), e2etest.JSONType)(conn)
				began <- struct{}{}
			},
			"endless": func(conn *upstreamtest.Conn) {
				e2etest.BeginStream(conn)
				piece := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
				var err error
				for err == nil {
					_, err = io.WriteString(conn, piece)
				}
				stalled <- struct{}{}
			},
		})
		typedStream := "/" + chatv1connect.ChatServiceName + "/" + e2etest.StreamMethod
		streamBody := string(e2etest.Envelope(0, []byte(e2etest.ChatBody(t))))
		for _, row := range []struct {
			name, method, path, body, script, kind string
			limits                                 server.ServeConfig
			// end aborts the response after its start. It is nil if the upstream or the RPC
			// does so.
			end func(t *testing.T, front *http10Server)
		}{
			{name: "truncated upstream response", method: "GET", path: "/v1/x", script: "broken"},
			{name: "panic in an RPC", method: "POST", path: panicPath, body: streamBody, kind: "application/connect+json"},
			{
				name: "shutdown", method: "GET", path: "/v1/x", script: "held",
				end: func(t *testing.T, front *http10Server) {
					t.Helper()
					front.stop()
					e2etest.Receive(t, held, "the end of the upstream's connection")
				},
			},
			{
				name: "shutdown during a typed stream", method: "POST", path: typedStream, body: streamBody, script: "held", kind: "application/connect+json",
				end: func(t *testing.T, front *http10Server) {
					t.Helper()
					front.stop()
					e2etest.Receive(t, held, "the end of the upstream's connection")
				},
			},
			{
				name: "shutdown during a unary response", method: "POST", path: e2etest.CreateProcedure, script: "large reply", kind: "application/json",
				end: func(t *testing.T, front *http10Server) {
					t.Helper()
					front.stop()
					e2etest.Receive(t, front.ended, "the end of the server")
				},
			},
			{
				name: "client stalled in a raw response", method: "GET", path: "/v1/x", script: "endless", limits: e2etest.ShortTimeouts,
				end: func(t *testing.T, _ *http10Server) {
					t.Helper()
					e2etest.Receive(t, stalled, "the end of the upstream's connection")
				},
			},
			{
				name: "client stalled in a unary response", method: "POST", path: e2etest.CreateProcedure, script: "large reply", kind: "application/json", limits: e2etest.ShortTimeouts,
				end: func(t *testing.T, front *http10Server) {
					t.Helper()
					front.stop()
					e2etest.Receive(t, front.ended, "the end of the server")
				},
			},
		} {
			t.Run(row.name, func(t *testing.T) {
				drain := 10 * time.Millisecond
				if row.limits != (server.ServeConfig{}) {
					drain = e2etest.Timeout
				}
				front := startHTTP10(t, secure, server.Config{Upstream: upstream, Register: registerPanic}, drain, row.limits)
				body, fields := row.body, []string{e2etest.ScriptHeader + ": " + row.script}
				if row.kind != "" {
					fields = append(fields, "Content-Type: "+row.kind)
				}
				if body == "" && row.method == "POST" {
					body = e2etest.ChatBody(t)
				}
				response := front.request(t, row.method, row.path, body, fields...)
				if response.StatusCode != 200 || response.ContentLength >= 0 {
					t.Fatalf("got status %s and length %d", response.Status, response.ContentLength)
				}
				if row.end != nil {
					row.end(t, front)
				}
				got, err := io.Copy(io.Discard, response.Body)
				if !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("connection ended after %d bytes with %v, want a reset", got, err)
				}
			})
		}
	})
}

// A complete response ends with an orderly close, whatever its framing.
func TestHTTP10_CompleteResponseEndsCleanly(t *testing.T) {
	t.Parallel()
	withAndWithoutTLS(t, func(t *testing.T, secure bool) {
		t.Helper()
		large := strings.Repeat("x", 1<<20)
		upstream := e2etest.ServeScripts(t, map[string]e2etest.Script{
			"a length":        e2etest.Reply(200, "hello", "Content-Type: text/plain"),
			"a large length":  e2etest.Reply(200, large, "Content-Type: text/plain"),
			"no content":      e2etest.Reply(204, ""),
			"an error":        e2etest.Reply(500, "oh", "Content-Type: text/plain"),
			"a stream":        e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b"), e2etest.DoneEvent),
			"an empty stream": e2etest.Stream(),
			"a large stream":  e2etest.Stream(e2etest.Chunk(0, large), e2etest.Chunk(0, large), e2etest.DoneEvent),
			"a reply":         e2etest.Reply(200, e2etest.Completion("hello"), e2etest.JSONType),
			"a large reply":   e2etest.Reply(200, e2etest.Completion(large), e2etest.JSONType),
			"no response":     func(conn *upstreamtest.Conn) { conn.Close() },
			"hints": func(conn *upstreamtest.Conn) {
				conn.Send("HTTP/1.1 103 Early Hints\nLink: </a>\n\n")
				e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.DoneEvent)(conn)
			},
		})
		front := startHTTP10(t, secure, server.Config{Upstream: upstream}, e2etest.Timeout, server.ServeConfig{})
		unaryBody := e2etest.ChatBody(t)
		streamBody := string(e2etest.Envelope(0, []byte(unaryBody)))
		typedStream := "/" + chatv1connect.ChatServiceName + "/" + e2etest.StreamMethod
		for _, row := range []struct {
			name, method, path, body, kind string
			status                         int
			length                         int    // of the body; -1 for any
			suffix                         string // of the body
		}{
			{"a length", "GET", "/v1/x", "", "", 200, 5, "hello"},
			{"a length", "HEAD", "/v1/x", "", "", 200, 0, ""},
			{"a large length", "GET", "/v1/x", "", "", 200, len(large), "x"},
			{"no content", "GET", "/v1/x", "", "", 204, 0, ""},
			{"an error", "GET", "/v1/x", "", "", 500, 2, "oh"},
			{"a stream", "GET", "/v1/x", "", "", 200, -1, e2etest.DoneEvent},
			{"an empty stream", "GET", "/v1/x", "", "", 200, 0, ""},
			{"a large stream", "GET", "/v1/x", "", "", 200, -1, e2etest.DoneEvent},
			{"hints", "GET", "/v1/x", "", "", 200, -1, e2etest.DoneEvent},
			{"no response", "GET", "/v1/x", "", "", 502, -1, "}"},
			{"a reply", "POST", e2etest.CreateProcedure, unaryBody, "application/json", 200, -1, "}"},
			{"a large reply", "POST", e2etest.CreateProcedure, unaryBody, "application/json", 200, -1, "}"},
			{"a stream", "POST", typedStream, streamBody, "application/connect+json", 200, -1, "{}"},
			{"a large stream", "POST", typedStream, streamBody, "application/connect+json", 200, -1, "{}"},
			{"no response", "POST", typedStream, streamBody, "application/connect+json", 200, -1, "}"},
			{"a playground", "GET", "/playground/", "", "", 200, -1, ""},
		} {
			t.Run(row.name+" to "+row.method+" "+row.path, func(t *testing.T) {
				t.Parallel()
				response := front.request(t, row.method, row.path, row.body, e2etest.ScriptHeader+": "+row.name, "Content-Type: "+row.kind)
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != row.status {
					t.Errorf("got status %s; body ended after %d bytes with %v", response.Status, len(body), err)
				}
				if row.length >= 0 && len(body) != row.length || !strings.HasSuffix(string(body), row.suffix) {
					t.Errorf("got %d bytes of body, ending with %.40q", len(body), body[max(0, len(body)-40):])
				}
				if strings.HasPrefix(row.name, "a reply") && response.ContentLength < 0 {
					t.Error("got no Content-Length for a short response")
				}
			})
		}
	})
}
