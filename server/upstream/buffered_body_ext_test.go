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

// slowBody is a small body whose rest comes when the test writes it.
func slowBody(length int64) (*upstream.Request, *io.PipeWriter) {
	body, client := io.Pipe()
	return &upstream.Request{Method: "POST", Target: "/v1/x", Body: body, ContentLength: length}, client
}

// An upstream that answers before the end of a small body, and closes, takes no
// more of it. The client may send the rest in pieces nevertheless.
func TestTheRestOfASmallBodyThatNobodyTakes(t *testing.T) {
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
				// There is no CancelBody to free who reads: the client ends by itself.
				await(t, ended, "the failure")
				return
			}
			if err := await(t, ended, "Send"); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a refusal that came early says has to come soon: the client can't be
// heard any more when it leaves.
func TestARefusalOfASmallBodyThatFallsSilent(t *testing.T) {
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
		t.Errorf("it ended with %v", err)
	}
}

// A request is sent again only where nobody can have acted on it.
func TestWhatMayHaveBeenDoneIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		method string
		header http.Header
		closes bool // the kept connection, once it has the request; else it is silent
		soon   bool
		want   int32 // requests
	}{
		{"a POST into a connection that closes", "POST", nil, true, true, 2},
		{"a POST that an upstream dies of, after a while", "POST", nil, true, false, 1},
		{"a PATCH that an upstream dies of, after a while", "PATCH", nil, true, false, 1},
		{"a GET that an upstream dies of, after a while", "GET", nil, true, false, 2},
		{"a POST with a key, after a while", "POST", http.Header{"Idempotency-Key": {"1"}}, true, false, 2},
		{"a POST that isn't answered in time", "POST", nil, false, true, 1},
		{"a GET that isn't answered in time", "GET", nil, false, true, 1},
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
				t.Errorf("the upstream got it %d times, not %d; the end was %v", got, test.want, err)
			}
		})
	}
}
