package passthrough_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A client that goes away ends the upstream's connection, or over HTTP/2 its
// stream, at once, whatever the two were at.
func TestClientThatGoesAway(t *testing.T) {
	t.Parallel()

	// The upstream says when it is where the test wants the client to go, and
	// then when it sees the end.
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
		{"an upstream that thinks", overHTTP1(""), false},
		{"an upstream that streams", overHTTP1(streamHeader), true},
		{"an upstream that thinks, over HTTP/2", overHTTP2(false), false},
		{"an upstream that streams, over HTTP/2", overHTTP2(true), true},
	} {
		for _, client := range clients {
			for _, body := range []struct {
				name string
				new  func(context.Context) io.Reader
			}{
				{"that has sent all", func(context.Context) io.Reader { return strings.NewReader("{}") }},
				{"that is uploading", func(ctx context.Context) io.Reader {
					reader, writer := io.Pipe()
					// net/http's client waits for its body before it goes away.
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
						t.Error("the client saw nothing amiss")
					}
				})
			}
		}
	}
}

// The same for a raw connection that is closed, with and without a reset.
func TestConnectionThatIsClosed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, request string }{
		{"while the upstream thinks", "POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}"},
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
