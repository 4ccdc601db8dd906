package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Wait returns when Read would not block, and consumes nothing.
func TestWait_ReturnsWhenReadWouldNotBlock(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
	for _, test := range []struct {
		name   string
		first  string // data received before Wait is called
		second string // data received afterwards
		cancel bool
		body   string
		err    error // nil for one of the upstream's
	}{
		{name: "an available piece", first: chunked + "3\nabc\n", second: "0\n\n", body: "abc", err: io.EOF},
		{name: "a later piece", first: chunked, second: "3\nabc\n0\n\n", body: "abc", err: io.EOF},
		{name: "the end", first: chunked, second: "0\n\n", err: io.EOF},
		{name: "the end of a known length", first: "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", body: "abc", err: io.EOF},
		{name: "a truncated body", first: chunked, second: "3\nab", body: "ab"},
		{name: "the end of the context", first: chunked, cancel: true, err: context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err != nil {
					return
				}
				conn.Send(test.first)
				<-goOn
				if test.second != "" {
					conn.Send(test.second)
				}
				if test.cancel {
					conn.WaitEnd()
				}
			})
			up, err := upstream.New(upstream.Config{BaseURL: url})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(up.CloseIdleConnections)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp, err := up.Send(ctx, &upstream.Request{Target: "/v1/x"})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			close(goOn)
			if test.cancel {
				time.AfterFunc(time.Millisecond, cancel)
			}
			var body []byte
			var got error
			for got == nil {
				resp.Body.(interface{ Wait() }).Wait()
				piece := make([]byte, 2)
				var n int
				n, got = resp.Body.Read(piece)
				body = append(body, piece[:n]...)
			}
			resp.Body.(interface{ Wait() }).Wait() // nor does it wait when all is over
			_, failed := errors.AsType[*upstream.Error](got)
			if string(body) != test.body || failed != (test.err == nil) || test.err != nil && !errors.Is(got, test.err) {
				t.Errorf("got body %q and error %v", body, got)
			}
		})
	}
}

// The kernel reports a reset once, here during Wait. Read must not take the end of the
// connection for the end of the body.
func TestWait_DoesNotHideAReset(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err != nil {
			return
		}
		conn.Send("HTTP/1.1 200 OK\n\nabc")
		<-goOn
		if err := conn.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Error(err)
		}
	})
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	piece := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, piece); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	resp.Body.(interface{ Wait() }).Wait()
	_, err = resp.Body.Read(piece)
	if failure, ok := errors.AsType[*upstream.Error](err); !ok || failure.Kind != upstream.KindTruncated {
		t.Errorf("got error %v", err)
	}
}
