package server_test

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
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// traveller is a way through the server, typed or raw, to one that answers by
// scripts.
type traveller struct {
	name string
	// unary and stream ask by a script, and return when the answer has come or
	// ctx is done. For a stream, began is called when its first event has come.
	unary  func(ctx context.Context, t *testing.T, script string) error
	stream func(ctx context.Context, t *testing.T, script string, began func()) error
}

func travellers(t *testing.T, front *servertest.Front) []traveller {
	t.Helper()
	var all []traveller
	for _, client := range libraryClients(t, front) {
		ask := func(ctx context.Context, t *testing.T, q question) error {
			t.Helper()
			if failed := q.askFor(ctx, t, client).failed; failed != nil {
				return failed
			}
			return nil
		}
		all = append(all, traveller{
			name: client.name,
			unary: func(ctx context.Context, t *testing.T, script string) error {
				t.Helper()
				return ask(ctx, t, question{way: unary, script: script})
			},
			stream: func(ctx context.Context, t *testing.T, script string, began func()) error {
				t.Helper()
				return ask(ctx, t, question{way: streaming, script: script, each: func(string) { began() }})
			},
		})
	}
	for _, raw := range []struct {
		name   string
		client *http.Client
	}{
		{"raw over HTTP/1.1", servertest.HTTPClient(t, false)},
		{"raw over HTTP/2", servertest.HTTPClient(t, true)},
		{"raw over HTTP/1.0", servertest.HTTP10Client()},
	} {
		stream := func(ctx context.Context, t *testing.T, script string, began func()) error {
			t.Helper()
			request, err := rawRequest(ctx, front.URL, script)
			if err != nil {
				return err
			}
			response, err := raw.client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			first := make([]byte, 1)
			if _, err := io.ReadFull(response.Body, first); err != nil {
				return err
			}
			began()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		}
		all = append(all, traveller{
			name: raw.name,
			unary: func(ctx context.Context, t *testing.T, script string) error {
				t.Helper()
				return stream(ctx, t, script, func() {})
			},
			stream: stream,
		})
	}
	return all
}

// rawRequest is the smallest request as OpenAI's documentation has it.
func rawRequest(ctx context.Context, base, script string) (*http.Request, error) {
	const body = `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!"}]}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+servertest.Key)
	request.Header.Set(scriptHeader, script)
	return request, nil
}

// A caller that goes away ends the upstream's request, wherever it stands, and
// before the upstream has anything more to say. The delay is reported.
func TestCancelReachesTheUpstream(t *testing.T) {
	t.Parallel()
	const rounds = 50
	const bound = 2 * time.Second // some milliseconds, but for a machine that is busy
	reached, ended := make(chan struct{}, 1), make(chan time.Time, 1)
	waitForEnd := func(conn *upstreamtest.Conn) {
		conn.WaitEnd()
		ended <- time.Now()
	}
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"silence": func(conn *upstreamtest.Conn) {
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"headers": func(conn *upstreamtest.Conn) {
			beginStream(conn)
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"reply": func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, jsonType, "Content-Length: 100"))
			reached <- struct{}{}
			waitForEnd(conn)
		},
		"event": func(conn *upstreamtest.Conn) {
			beginStream(conn)
			conn.SendChunk(chunk(0, "a"))
			waitForEnd(conn)
		},
	})})
	cases := []struct {
		name, script string
		stream       bool
	}{
		{"a reply, before its headers", "silence", false},
		{"a reply, before its body", "reply", false},
		{"a stream, before its headers", "silence", true},
		{"a stream, before its first event", "headers", true},
		{"a stream, behind an event", "event", true},
	}
	for _, way := range travellers(t, front) {
		for _, c := range cases {
			t.Run(way.name+", "+c.name, func(t *testing.T) {
				delays := make([]time.Duration, 0, rounds)
				for range rounds {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					result := make(chan error, 1)
					go func() {
						if c.stream {
							result <- way.stream(ctx, t, c.script, func() { reached <- struct{}{} })
						} else {
							result <- way.unary(ctx, t, c.script)
						}
					}()
					await(t, reached, "the call to come so far")
					start := time.Now()
					cancel()
					delays = append(delays, await(t, ended, "the upstream to see the end").Sub(start))
					checkCanceled(t, await(t, result, "the call to end"))
				}
				slices.Sort(delays)
				median, most := delays[rounds/2], delays[rounds-1]
				t.Logf("the upstream saw the end after %v (median), %v (most)", median, most)
				if most > bound {
					t.Errorf("the upstream saw the end only after %v", most)
				}
			})
		}
	}
}

func checkCanceled(t *testing.T, err error) {
	t.Helper()
	if failed, ok := errors.AsType[*failure](err); ok {
		if failed.code != connect.CodeCanceled {
			t.Errorf("the call failed with %v, not canceled", failed)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v, not canceled", err)
	}
}

// A caller's deadline is the upstream request's, and the server says itself
// that it has passed: these callers don't watch the time.
func TestADeadlineEndsTheUpstreamRequest(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"silence": func(conn *upstreamtest.Conn) {
			conn.WaitEnd()
			ended <- struct{}{}
		},
		"reply": func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, jsonType, "Content-Length: 100"))
			conn.WaitEnd()
			ended <- struct{}{}
		},
		"event": func(conn *upstreamtest.Conn) {
			beginStream(conn)
			conn.SendChunk(chunk(0, "a"))
			conn.WaitEnd()
			ended <- struct{}{}
		},
	})})
	message, err := proto.Marshal(hello())
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
		for _, c := range []struct{ name, way, script string }{
			{"before the headers of a reply", unary, "silence"},
			{"in a reply", unary, "reply"},
			{"before the headers of a stream", streaming, "silence"},
			{"in a stream", streaming, "event"},
		} {
			t.Run(protocol.name+", "+c.name, func(t *testing.T) {
				media, body := protocol.unaryType, message
				if c.way == streaming {
					media = protocol.streamType
				}
				if protocol.framed || c.way == streaming {
					body = envelope(0, message)
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				procedure := front.URL + "/" + chatv1connect.ChatServiceName + "/" + c.way
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, procedure, strings.NewReader(string(body)))
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", media)
				request.Header.Set(protocol.field, protocol.value)
				request.Header.Set(scriptHeader, c.script)
				response, err := client.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				await(t, ended, "the upstream to see the end")
				if code := codeOnWire(response, text); code != connect.CodeDeadlineExceeded {
					t.Errorf("the code is %v, not deadline_exceeded:\n%v\n%q\n%v", code, response.Header, text, response.Trailer)
				}
			})
		}
	}
}

// codeOnWire is the code that a response has, in whatever protocol: in the
// trailer, in the header where there is no trailer, in the last message of a
// stream, or as the body.
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

// A deadline is told to the caller as such, by every client's own means.
func TestADeadlineIsToldAsSuch(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"silence": func(conn *upstreamtest.Conn) {
			conn.WaitEnd()
			ended <- struct{}{}
		},
	})})
	for _, client := range libraryClients(t, front) {
		for _, way := range bothWays {
			t.Run(client.name+" "+way, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				failed := question{way: way, script: "silence"}.askFor(ctx, t, client).failed
				if failed == nil || failed.code != connect.CodeDeadlineExceeded {
					t.Errorf("the call ended with %v, not deadline_exceeded", failed)
				}
				await(t, ended, "the upstream to see the end")
			})
		}
	}
}

// A caller that goes away while it is being sent more than it reads doesn't keep
// the upstream busy either.
func TestCancelReachesTheUpstreamOfAReaderThatIsSlow(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"flood": func(conn *upstreamtest.Conn) {
			beginStream(conn)
			text := chunk(0, strings.Repeat("x", 10_000))
			for err := error(nil); err == nil; {
				_, err = io.WriteString(conn, strconv.FormatInt(int64(len(text)), 16)+"\r\n"+text+"\r\n")
			}
			ended <- struct{}{}
		},
	})})
	for _, way := range travellers(t, front) {
		t.Run(way.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			result := make(chan error, 1)
			began := make(chan struct{}, 1)
			go func() {
				result <- way.stream(ctx, t, "flood", func() {
					select {
					case began <- struct{}{}:
					default:
					}
					<-ctx.Done() // and read no more
				})
			}()
			await(t, began, "the first event")
			cancel()
			await(t, ended, "the upstream to see the end")
			if err := await(t, result, "the call to end"); err == nil {
				t.Error("the call succeeded")
			}
		})
	}
}
