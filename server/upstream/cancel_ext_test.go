package upstream_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

var discardLog = log.New(io.Discard, "", 0)

// When a request is canceled in any state, the upstream sees the end of the connection or
// stream, and the caller receives the context's error.
func TestCancel_EndsTheExchangeInEveryState(t *testing.T) {
	t.Parallel()

	// The upstream reports when the state to cancel in is reached, and when it sees the end.
	reached, ended := make(chan struct{}), make(chan time.Time)
	overHTTP1 := func(t *testing.T, answer string) upstream.Config {
		t.Helper()
		return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send(answer)
			reached <- struct{}{}
			conn.WaitEnd()
			ended <- time.Now()
		})}
	}
	overHTTP2 := func(t *testing.T, answers bool) upstream.Config {
		t.Helper()
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answers {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
			}
			reached <- struct{}{}
			<-r.Context().Done()
			ended <- time.Now()
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)}
	}
	const header = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
	for _, test := range []struct {
		name      string
		config    upstream.Config
		uploading bool
		answered  bool
	}{
		{"before the header", overHTTP1(t, ""), false, false},
		{"in an upload", overHTTP1(t, ""), true, false},
		{"in an upload after the response header", overHTTP1(t, header), true, true},
		{"in a body", overHTTP1(t, header), false, true},
		{"before the header, over HTTP/2", overHTTP2(t, false), false, false},
		{"in an upload, over HTTP/2", overHTTP2(t, false), true, false},
		{"in an upload after the response header, over HTTP/2", overHTTP2(t, true), true, true},
		{"in a body, over HTTP/2", overHTTP2(t, true), false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			up := newUpstream(t, test.config)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req := &upstream.Request{Method: "POST", Target: "/v1/x"}
			if test.uploading {
				// Like a server's request body, this one fails when the client leaves.
				body, client := io.Pipe()
				context.AfterFunc(ctx, func() { client.CloseWithError(io.ErrUnexpectedEOF) })
				req.Body, req.ContentLength = body, -1
			}
			result := make(chan error, 1)
			go func() {
				resp, err := up.Send(ctx, req)
				if test.answered && err == nil {
					_, err = resp.Body.Read(make([]byte, 1))
				}
				if err == nil {
					err = errors.New("nothing failed")
				}
				if resp != nil {
					resp.Body.Close()
				}
				result <- err
			}()
			await(t, reached, "the upstream to get the request")
			start := time.Now()
			cancel()
			t.Logf("the upstream saw the end after %v", await(t, ended, "the upstream to see the end").Sub(start))
			if err := await(t, result, "the error"); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	}
}

func TestCancel_ReturnsTheContextErrorAndItsCause(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.WaitEnd() })
	up := newUpstream(t, upstream.Config{BaseURL: url})
	errCause := errors.New("a reason of one's own")

	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	explained, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(errCause)
	for _, test := range []struct {
		name string
		ctx  context.Context
		want []error
	}{
		{"a deadline in the past", expired, []error{context.DeadlineExceeded}},
		{"a deadline that passes", short, []error{context.DeadlineExceeded}},
		{"a cancellation with a cause", explained, []error{context.Canceled, errCause}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := up.Send(test.ctx, &upstream.Request{Target: "/v1/x"})
			for _, want := range test.want {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
		})
	}
}
