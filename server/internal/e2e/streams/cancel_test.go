package streams_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A canceled call ends the upstream request in any state. The test logs the delay.
func TestCancel_EndsUpstreamRequest(t *testing.T) {
	t.Parallel()
	const rounds = 50
	const bound = 2 * time.Second // some milliseconds on an idle machine
	reached, ended := make(chan struct{}, 1), make(chan time.Time, 1)
	waitForEnd := func(conn *upstreamtest.Conn) {
		conn.WaitEnd()
		ended <- time.Now()
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"silence": func(conn *upstreamtest.Conn) {
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"headers": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"reply": func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "Content-Length: 100"))
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"event": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Chunk(0, "a"))
			waitForEnd(conn)
		},
	})})
	cases := []struct {
		name, script string
		stream       bool
	}{
		{"unary, before the headers", "silence", false},
		{"unary, before the body", "reply", false},
		{"stream, before the headers", "silence", true},
		{"stream, before the first event", "headers", true},
		{"stream, after an event", "event", true},
	}
	for _, method := range e2etest.Callers(t, front) {
		for _, c := range cases {
			t.Run(method.Name+", "+c.name, func(t *testing.T) {
				delays := make([]time.Duration, 0, rounds)
				for range rounds {
					ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
					result := make(chan error, 1)
					go func() {
						if c.stream {
							result <- method.Stream(ctx, t, c.script, func() { reached <- struct{}{} })
						} else {
							result <- method.Unary(ctx, t, c.script)
						}
					}()
					e2etest.Receive(t, reached, "the call to come so far")
					start := time.Now()
					cancel()
					delays = append(delays, e2etest.Receive(t, ended, "the upstream to see the end").Sub(start))
					checkCanceled(t, e2etest.Receive(t, result, "the call to end"))
				}
				slices.Sort(delays)
				median, most := delays[rounds/2], delays[rounds-1]
				t.Logf("upstream request ended after %v (median), %v (maximum)", median, most)
				if most > bound {
					t.Errorf("upstream request ended after %v", most)
				}
			})
		}
	}
}

func checkCanceled(t *testing.T, err error) {
	t.Helper()
	if failed, ok := errors.AsType[*e2etest.RPCError](err); ok {
		if failed.Code != connect.CodeCanceled {
			t.Errorf("got error %v, want canceled", failed)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want canceled", err)
	}
}

// The deadline of a call applies to the upstream request. The server reports the
// error, because these clients don't watch the deadline.
func TestDeadline_EndsUpstreamRequest(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"silence": func(conn *upstreamtest.Conn) {
			conn.WaitEnd()
			ended <- struct{}{}
		},
		"reply": func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "Content-Length: 100"))
			conn.WaitEnd()
			ended <- struct{}{}
		},
		"event": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Chunk(0, "a"))
			conn.WaitEnd()
			ended <- struct{}{}
		},
	})})
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []struct {
		name, unaryType, streamType string
		field, value                string
		http2, framed               bool
	}{
		{"Connect", "application/proto", "application/connect+proto", "Connect-Timeout-Ms", "200", false, false},
		{"Connect over HTTP/2", "application/proto", "application/connect+proto", "Connect-Timeout-Ms", "200", true, false},
		{"gRPC", "application/grpc", "application/grpc", "Grpc-Timeout", "200m", true, true},
		{"gRPC-Web", "application/grpc-web", "application/grpc-web", "Grpc-Timeout", "200000u", false, true},
	} {
		client := servertest.HTTPClient(t, protocol.http2)
		for _, c := range []struct{ name, method, script string }{
			{"before the headers of a unary response", e2etest.UnaryMethod, "silence"},
			{"in a unary response", e2etest.UnaryMethod, "reply"},
			{"before the headers of a stream", e2etest.StreamMethod, "silence"},
			{"in a stream", e2etest.StreamMethod, "event"},
		} {
			t.Run(protocol.name+", "+c.name, func(t *testing.T) {
				media, body := protocol.unaryType, message
				if c.method == e2etest.StreamMethod {
					media = protocol.streamType
				}
				if protocol.framed || c.method == e2etest.StreamMethod {
					body = e2etest.Envelope(0, message)
				}
				ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
				defer cancel()
				procedure := front.URL + "/" + chatv1connect.ChatServiceName + "/" + c.method
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, procedure, strings.NewReader(string(body)))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", media)
				request.Header.Set(protocol.field, protocol.value)
				request.Header.Set(e2etest.ScriptHeader, c.script)
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				e2etest.Receive(t, ended, "the upstream to see the end")
				if code := codeOnWire(response, text); code != connect.CodeDeadlineExceeded {
					t.Errorf("got code %v, want deadline_exceeded:\n%v\n%q\n%v", code, response.Header, text, response.Trailer)
				}
			})
		}
	}
}

// codeOnWire returns the code of a response in any protocol: in the trailer, in the
// header of a trailers-only response, in the last message of a stream, or in the
// body.
func codeOnWire(response *http.Response, body []byte) connect.Code {
	for _, fields := range []http.Header{response.Trailer, response.Header} {
		if number := fields.Get("Grpc-Status"); number != "" {
			return numbered(number)
		}
	}
	if _, trailer, ok := strings.Cut(string(body), "grpc-status: "); ok {
		number, _, _ := strings.Cut(trailer, "\r\n")
		return numbered(number)
	}
	text := string(body)
	if i := strings.Index(text, `{"error":`); i >= 0 {
		var last struct {
			Error struct {
				Code connect.Code `json:"code"`
			} `json:"error"`
		}
		if json.Unmarshal([]byte(text[i:]), &last) == nil {
			return last.Error.Code
		}
	}
	var whole struct {
		Code connect.Code `json:"code"`
	}
	_ = json.Unmarshal(body, &whole)
	return whole.Code
}

func numbered(text string) connect.Code {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return connect.CodeUnknown
	}
	return connect.Code(number)
}

// Every client reports a deadline error.
func TestDeadline_IsReportedByEveryClient(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"silence": func(conn *upstreamtest.Conn) {
			conn.WaitEnd()
			ended <- struct{}{}
		},
	})})
	for _, client := range e2etest.LibraryClients(t, front) {
		for _, method := range e2etest.Methods {
			t.Run(client.Name+" "+method, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				failed := e2etest.ScriptedCall{Method: method, Script: "silence"}.DoContext(ctx, t, client).Err
				if failed == nil || failed.Code != connect.CodeDeadlineExceeded {
					t.Errorf("got error %v, want deadline_exceeded", failed)
				}
				e2etest.Receive(t, ended, "the upstream to see the end")
			})
		}
	}
}

// Cancellation also reaches the upstream if the client stopped reading.
func TestCancel_WithStalledReader(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"flood": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			text := e2etest.Chunk(0, strings.Repeat("x", 10_000))
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, strconv.FormatInt(int64(len(text)), 16)+"\r\n"+text+"\r\n")
			}
			ended <- struct{}{}
		},
	})})
	for _, method := range e2etest.Callers(t, front) {
		t.Run(method.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), e2etest.Timeout)
			defer cancel()
			result := make(chan error, 1)
			began := make(chan struct{}, 1)
			go func() {
				result <- method.Stream(ctx, t, "flood", func() {
					select {
					case began <- struct{}{}:
					default:
					}
					<-ctx.Done() // The client stops reading.
				})
			}()
			e2etest.Receive(t, began, "the first event")
			cancel()
			e2etest.Receive(t, ended, "the upstream to see the end")
			if err := e2etest.Receive(t, result, "the call to end"); err == nil {
				t.Error("call succeeded, want an error")
			}
		})
	}
}
