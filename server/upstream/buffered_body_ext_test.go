package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// slowBody returns a request with a small body that the test writes to the pipe.
func slowBody(length int64) (*upstream.Request, *io.PipeWriter) {
	body, client := io.Pipe()
	return &upstream.Request{Method: "POST", Target: "/v1/x", Body: body, ContentLength: length}, client
}

// The upstream responds before the end of a small body and closes the connection. The client
// still sends the rest of the body in pieces.
func TestHTTP1Buffering_ReadsTheRestOfASmallBodyAfterAnEarlyResponse(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok",
		"HTTP/1.1 302 Found\nLocation: ftp://x\nContent-Length: 0\nConnection: close\n\n",
		"",
	} {
		t.Run(strings.SplitN(answer+"\n", "\n", 2)[0], func(t *testing.T) {
			t.Parallel()
			answered := make(chan struct{}, 1)
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				conn.Send(answer)
				conn.Close()
				answered <- struct{}{}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url})
			const length = 1000
			req, client := slowBody(length)
			ended := make(chan error, 1)
			go func() {
				resp, err := up.Send(t.Context(), req)
				if err == nil {
					resp.Body.Close()
				}
				ended <- err
			}()
			await(t, answered, "the answer")
			go func() {
				for range length {
					if _, err := client.Write([]byte("x")); err != nil {
						return
					}
				}
				client.Close()
			}()
			if answer == "" {
				// Without CancelBody, Send waits for the end of the body.
				await(t, ended, "the error")
				return
			}
			if err := await(t, ended, "Send"); err != nil {
				t.Error(err)
			}
		})
	}
}

// An early rejection must end soon: after CancelBody the client's departure is not noticed.
func TestHTTP1Buffering_BoundsAnEarlyRejectionAfterTheClientLeft(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err == nil {
			conn.Send("HTTP/1.1 400 Bad Request\nContent-Length: 200\n\nno")
			conn.WaitEnd()
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	ctx, cancel := context.WithCancel(t.Context())
	req, client := slowBody(10)
	req.CancelBody = func() { client.CloseWithError(errBody) }
	resp, err := up.Send(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(resp.Body)
		read <- err
	}()
	if err := await(t, read, "the end of the answer"); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
}

// A request is only sent again if it can't have been processed, or is idempotent.
func TestHTTP1Retry_ResendsOnlyUnprocessedOrIdempotentRequests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		method string
		header http.Header
		closes bool // the upstream closes the reused connection after the request; otherwise it sends nothing
		soon   bool
		want   int32 // requests
	}{
		{"a POST on a closing connection", "POST", nil, true, true, 2},
		{"a POST, and the connection closes later", "POST", nil, true, false, 1},
		{"a PATCH, and the connection closes later", "PATCH", nil, true, false, 1},
		{"a GET, and the connection closes later", "GET", nil, true, false, 2},
		{"a POST with an Idempotency-Key, and the connection closes later", "POST", http.Header{"Idempotency-Key": {"1"}}, true, false, 2},
		{"a POST that times out", "POST", nil, false, true, 1},
		{"a GET that times out", "GET", nil, false, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var connections, requests atomic.Int32
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				first := connections.Add(1) == 1
				for n := 0; ; n++ {
					if _, err := conn.ReadRequest(); err != nil {
						return
					}
					if first && n > 0 {
						requests.Add(1)
						if !test.closes {
							conn.WaitEnd()
						}
						return
					}
					if !first {
						requests.Add(1)
					}
					conn.Send("HTTP/1.1 204 No Content\n\n")
				}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url, ResponseHeaderTimeout: 300 * time.Millisecond})
			if !test.soon {
				up.SetStaleWindow(0)
			}
			discard(t, up, &upstream.Request{Target: "/v1/x"})
			resp, err := up.Send(t.Context(), &upstream.Request{
				Method: test.method, Target: "/v1/x", Header: test.header, Body: bytes.NewReader([]byte("{}")),
			})
			if err == nil {
				resp.Body.Close()
			}
			if got := requests.Load(); got != test.want || (err == nil) != (test.want == 2) {
				t.Errorf("got %d requests, want %d (error: %v)", got, test.want, err)
			}
		})
	}
}
