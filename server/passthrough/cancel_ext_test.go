package passthrough_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// When the client leaves, the upstream's connection or HTTP/2 stream ends at once, in every
// state of the exchange.
func TestCancel_ReachesTheUpstreamWhenTheClientLeaves(t *testing.T) {
	t.Parallel()

	// The upstream reports when the client must leave, and when it sees the end.
	type progress struct {
		reached chan struct{}
		ended   chan time.Time
	}
	overHTTP1 := func(answer string) func(*testing.T, progress) upstream.Config {
		return func(t *testing.T, p progress) upstream.Config {
			t.Helper()
			return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				conn.Send(answer)
				signal(p.reached, struct{}{})
				conn.WaitEnd()
				signal(p.ended, time.Now())
			})}
		}
	}
	overHTTP2 := func(answers bool) func(*testing.T, progress) upstream.Config {
		return func(t *testing.T, p progress) upstream.Config {
			t.Helper()
			return serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
				if answers {
					flush(w)
				}
				signal(p.reached, struct{}{})
				<-r.Context().Done()
				signal(p.ended, time.Now())
			})
		}
	}
	for _, from := range []struct {
		name     string
		config   func(*testing.T, progress) upstream.Config
		answered bool
	}{
		{"an upstream that has not responded", overHTTP1(""), false},
		{"an upstream that is streaming", overHTTP1(streamHeader), true},
		{"an upstream that has not responded, over HTTP/2", overHTTP2(false), false},
		{"an upstream that is streaming, over HTTP/2", overHTTP2(true), true},
	} {
		for _, client := range clients {
			for _, body := range []struct {
				name string
				new  func(context.Context) io.Reader
			}{
				{"after a complete request", func(context.Context) io.Reader { return strings.NewReader("{}") }},
				{"during an upload", func(ctx context.Context) io.Reader {
					reader, writer := io.Pipe()
					// net/http's client waits for its body before it disconnects.
					context.AfterFunc(ctx, func() { writer.CloseWithError(ctx.Err()) })
					return reader
				}},
			} {
				t.Run("a client "+client.name+" "+body.name+", from "+from.name, func(t *testing.T) {
					t.Parallel()
					p := progress{make(chan struct{}), make(chan time.Time)}
					address := forwardWith(t, from.config(t, p), noOptions)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/x", body.new(ctx))
					if err != nil {
						t.Fatal(err)
					}
					answered, result := make(chan struct{}), make(chan error, 1)
					httpClient := client.new(t)
					go func() {
						resp, err := httpClient.Do(req)
						if err == nil {
							close(answered)
							_, err = io.ReadAll(resp.Body)
							resp.Body.Close()
						}
						result <- err
					}()
					await(t, p.reached, "the upstream to get the request")
					if from.answered {
						await(t, answered, "the answer")
					}
					start := time.Now()
					cancel()
					t.Logf("the upstream saw the end after %v", await(t, p.ended, "the upstream to see the end").Sub(start))
					if await(t, result, "the client to be told") == nil {
						t.Error("the client received a complete response")
					}
				})
			}
		}
	}
}

// The client's connection is closed, with and without a reset.
func TestCancel_ReachesTheUpstreamWhenTheConnectionCloses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, request string }{
		{"before the response", "POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}"},
		{"in an upload of known length", "POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 9\n\n{}"},
		{"in an upload of unknown length", "POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n2\n{}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reached, ended := make(chan struct{}), make(chan time.Time)
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				signal(reached, struct{}{})
				conn.WaitEnd()
				signal(ended, time.Now())
			})
			client := connect(t, forward(t, url))
			client.Send(test.request)
			await(t, reached, "the upstream to get the request")
			start := time.Now()
			client.Close()
			t.Logf("the upstream saw the end after %v", await(t, ended, "the upstream to see the end").Sub(start))
		})
	}
}

// On an idle machine the upstream sees the end after some hundred microseconds. The limit
// allows for a busy one.
func TestCancel_ReachesTheUpstreamAtOnce(t *testing.T) {
	const (
		rounds = 50
		usual  = time.Second
	)
	for _, stage := range []struct{ name, request, answer string }{
		{"waiting for the header", "POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", ""},
		{"in an upload", "POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n2\n{}\n", ""},
		{"in a stream", "POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", streamHeader},
		{"in a WebSocket", upgradeRequest, upgradeAnswer},
	} {
		t.Run(stage.name, func(t *testing.T) {
			reached, ended := make(chan struct{}), make(chan time.Time)
			address := forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				conn.Send(stage.answer)
				signal(reached, struct{}{})
				conn.WaitEnd()
				signal(ended, time.Now())
			}))
			var took []time.Duration
			for range rounds {
				client := connect(t, address)
				client.Send(stage.request)
				await(t, reached, "the upstream to get the request")
				if stage.answer != "" {
					if _, err := client.ReadHead(); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				client.Close()
				took = append(took, await(t, ended, "the upstream to see the end").Sub(start))
			}
			slices.Sort(took)
			median := took[rounds/2]
			t.Logf("median %v, at most %v", median, took[rounds-1])
			if median > usual {
				t.Errorf("the upstream saw the end after %v", median)
			}
		})
	}
}

// An upstream that disappears ends the client's WebSocket.
func TestWebSocket_EndsWhenTheUpstreamDisappears(t *testing.T) {
	t.Parallel()
	for _, reset := range []bool{false, true} {
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send(upgradeAnswer)
			if reset {
				conn.Conn.(interface{ SetLinger(seconds int) error }).SetLinger(0) // shows at the other end
			}
		})
		client := connect(t, forward(t, url))
		client.Send(upgradeRequest)
		ended := make(chan error, 1)
		go func() {
			_, err := client.ReadHead()
			if err == nil || reset { // which may come before the head is read
				_, err = io.Copy(io.Discard, client.Reader)
			}
			ended <- err
		}()
		if err := await(t, ended, "the client to see the end"); err != nil && !reset {
			t.Errorf("client received %v", err)
		}
	}
}
