package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Each connection ends with GOAWAY after some requests. Each request must be processed once.
func TestHTTP2Replay_ResendsUnprocessedRequests(t *testing.T) {
	t.Parallel()
	const requests, workers, perConn = 600, 30, 40
	for _, test := range []struct {
		name string
		code http2.ErrCode
		body func(text string) io.Reader
	}{
		{"GOAWAY, bodies in memory", http2.ErrCodeNo, func(text string) io.Reader { return strings.NewReader(text) }},
		{"GOAWAY, bodies that are streamed", http2.ErrCodeNo, func(text string) io.Reader {
			body, client := io.Pipe()
			go func() {
				_, _ = io.WriteString(client, text[:len(text)/2])
				_, _ = io.WriteString(client, text[len(text)/2:])
				client.Close()
			}()
			return body
		}},
		{"GOAWAY for an error", http2.ErrCodeEnhanceYourCalm, func(text string) io.Reader { return strings.NewReader(text) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			processed := make(map[string]int)
			url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
				c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
				var accepted atomic.Uint32
				n := 0
				c.Each(func(stream uint32) {
					if n++; n == perConn {
						accepted.Store(stream)
						c.Do(func(f *http2.Framer) error { return f.WriteGoAway(stream, test.code, nil) })
					}
				}, func(r upstreamtest.HTTP2Request) {
					if last := accepted.Load(); last != 0 && r.Stream > last {
						return // as promised
					}
					mu.Lock()
					processed[r.Body]++
					mu.Unlock()
					c.Fields(r.Stream, false, ":status", "200")
					c.Data(r.Stream, true, r.Body)
				})
			})
			up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
			var next atomic.Int64
			var running sync.WaitGroup
			for range workers {
				running.Go(func() {
					for i := next.Add(1); i <= requests; i = next.Add(1) {
						text := fmt.Sprintf("request %d", i)
						resp, err := up.Send(t.Context(), &upstream.Request{
							Method: http.MethodPost, Target: "/v1/x", Body: test.body(text), ContentLength: int64(len(text)),
						})
						if err != nil {
							t.Errorf("%s: %v", text, err)
							continue
						}
						body, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						if err != nil || string(body) != text {
							t.Errorf("%s: got response %q, %v", text, body, err)
						}
					}
				})
			}
			running.Wait()
			for i := range requests {
				if text := fmt.Sprintf("request %d", i+1); processed[text] != 1 {
					t.Errorf("%s: processed %d times, want 1", text, processed[text])
				}
			}
			closes(t, up)
		})
	}
}

// The test counts how often the upstream receives a request that it rejects.
func TestHTTP2Replay_DoesNotResendOtherRequests(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10 // as documented
	refuse := reset(http2.ErrCodeRefusedStream)
	for _, test := range []struct {
		name   string
		answer hostile // to the first arrival; the next is answered properly
		body   int
		want   int64
	}{
		{"REFUSED_STREAM", refuse, 100, 2},
		{"REFUSED_STREAM without a body", refuse, 0, 2},
		{"REFUSED_STREAM of a body as long as is kept", refuse, limit, 2},
		{"REFUSED_STREAM of a longer body", refuse, limit + 1, 1},
		{"REFUSED_STREAM behind an interim answer", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "103")
			refuse(c, stream)
		}, 100, 1},
		{"another reset", reset(http2.ErrCodeInternal), 100, 1},
		{"CANCEL", reset(http2.ErrCodeCancel), 100, 1},
		{"GOAWAY below the stream", frame(func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, 0, nil) }), 100, 2},
		{"GOAWAY with an error below the stream", frame(func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeInternal, nil) }), 100, 2},
		{"GOAWAY below the stream, behind an interim answer", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "103")
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(0, 0, nil) })
		}, 100, 1},
		{"GOAWAY that counts the stream", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(stream, 0, nil) })
			hangUp(c, stream)
		}, 100, 1},
		{"GOAWAY that counts the stream, and then another that doesn't", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error { _ = f.WriteGoAway(stream, 0, nil); return f.WriteGoAway(0, 0, nil) })
		}, 100, 2},
		{"the end of the connection", hangUp, 100, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int64
			up := newUpstream(t, serveHostile(t, nil, func(c *upstreamtest.HTTP2Conn, stream uint32) {
				if arrived.Add(1) == 1 {
					test.answer(c, stream)
					return
				}
				c.Fields(stream, true, ":status", "200")
			}))
			req := &upstream.Request{Method: http.MethodPost, Target: "/v1/x"}
			if test.body > 0 {
				req.Body, req.ContentLength = io.MultiReader(strings.NewReader(strings.Repeat("x", test.body))), int64(test.body)
			}
			resp, err := up.Send(t.Context(), req)
			if err == nil {
				resp.Body.Close()
			}
			if got := arrived.Load(); got != test.want || (err == nil) != (test.want > 1) {
				t.Errorf("got %d requests and error %v", got, err)
			}
			failure, ok := errors.AsType[*upstream.Error](err)
			if err != nil && (!ok || failure.Kind != upstream.KindClosed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The upstream refuses every stream.
func TestHTTP2Replay_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	refused := make(chan struct{}, 100)
	up := newUpstream(t, serveHostile(t, nil, func(c *upstreamtest.HTTP2Conn, stream uint32) {
		arrived.Add(1)
		reset(http2.ErrCodeRefusedStream)(c, stream)
		refused <- struct{}{}
	}))
	send := func(ctx context.Context) error {
		resp, err := up.Send(ctx, &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: strings.NewReader("x"), ContentLength: 1})
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	failure, ok := errors.AsType[*upstream.Error](send(t.Context()))
	if !ok || failure.Kind != upstream.KindClosed || !failure.Unprocessed {
		t.Errorf("got %+v", failure)
	}
	if got := arrived.Load(); got != 4 {
		t.Errorf("got %d requests, want 4", got)
	}
	for range 4 {
		<-refused
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- send(ctx) }()
	await(t, refused, "the refusal")
	cancel()
	if err := await(t, result, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := send(expired); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// The upstream refuses a stream while the body is being read. The next attempt receives the
// result of that read.
func TestHTTP2Replay_WaitsForTheReadOfAnEarlierAttempt(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	bodies := make(chan string, 1)
	again := make(chan struct{})
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		c.Each(func(stream uint32) {
			if arrived.Add(1) == 1 {
				c.Do(func(f *http2.Framer) error { return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream) })
				return
			}
			close(again)
		}, func(r upstreamtest.HTTP2Request) {
			if r.Body == "" {
				return
			}
			bodies <- r.Body
			c.Fields(r.Stream, true, ":status", "200")
		})
	})
	up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
	body, client := io.Pipe()
	go func() {
		<-again
		_, _ = io.WriteString(client, "one ")
		_, _ = io.WriteString(client, "two")
		client.Close()
	}()
	resp, err := up.Send(t.Context(), &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: body, ContentLength: -1})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := await(t, bodies, "the body"); got != "one two" {
		t.Errorf("the upstream received %q", got)
	}
}
