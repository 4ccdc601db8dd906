package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// pipes returns a dial function for a script, without kernel buffers: unread data blocks the
// writer.
func pipes(t *testing.T, script func(conn *upstreamtest.Conn)) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	var ends []func()
	t.Cleanup(func() {
		for _, end := range ends {
			end()
		}
	})
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			script(&upstreamtest.Conn{Conn: far, Reader: bufio.NewReader(far)})
			far.Close()
		}()
		ends = append(ends, func() {
			far.Close()
			<-done
		})
		return near, nil
	}
}

func TestStall_EndsARequestThatTheUpstreamDoesNotRead(t *testing.T) {
	body := strings.Repeat("x", 300<<10)
	for _, row := range []struct {
		name   string
		body   io.Reader
		length int64
		reads  int // of the request, in bytes
		answer string
		status int // 0 for none
	}{
		{"of its header", nil, 0, 0, "", 0},
		{"of a body that is sent with the header", bytes.NewReader([]byte(body[:10<<10])), 0, 4 << 10, "", 0},
		{"of a body of known length", strings.NewReader(body), int64(len(body)), 100 << 10, "", 0},
		{"of a body of unknown length", strings.NewReader(body), -1, 100 << 10, "", 0},
		{"but has responded", strings.NewReader(body), int64(len(body)), 100 << 10, "HTTP/1.1 413 Content Too Large\nContent-Length: 0\n\n", 413},
	} {
		t.Run(row.name, func(t *testing.T) {
			up, err := upstream.New(upstream.Config{
				BaseURL: "http://127.0.0.1",
				DialContext: pipes(t, func(conn *upstreamtest.Conn) {
					_, _ = io.CopyN(io.Discard, conn.Conn, int64(row.reads))
					if row.answer != "" {
						conn.Send(row.answer)
					}
					<-t.Context().Done()
				}),
			}.WithStallTimeout(50 * time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := up.Send(t.Context(), &upstream.Request{
				Method: http.MethodPost, Target: "/v1/files", Body: row.body, ContentLength: row.length,
			})
			if row.status > 0 {
				if err != nil || resp.StatusCode != row.status {
					t.Fatalf("got response %v, error %v, want status 413", resp, err)
				}
				resp.Body.Close()
				return
			}
			failure, ok := errors.AsType[*upstream.Error](err)
			if !ok || failure.Kind != upstream.KindTimeout || !strings.Contains(failure.Detail, "read nothing of the request for 50ms") {
				t.Errorf("got error %v, want KindTimeout with the stall timeout", err)
			}
		})
	}
}

func TestStall_DoesNotCountTheTimeOfTheBody(t *testing.T) {
	const pieces, stall = 4, 50 * time.Millisecond
	got := make(chan string, 1)
	up, err := upstream.New(upstream.Config{
		BaseURL: "http://127.0.0.1",
		DialContext: pipes(t, func(conn *upstreamtest.Conn) {
			request, _ := conn.ReadRequest()
			got <- request.Body
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
			conn.WaitEnd()
		}),
	}.WithStallTimeout(stall))
	if err != nil {
		t.Fatal(err)
	}
	defer up.CloseIdleConnections()
	left := pieces
	resp, err := up.Send(t.Context(), &upstream.Request{
		Method: http.MethodPost, Target: "/v1/files", ContentLength: -1,
		Body: readerFunc(func(p []byte) (int, error) {
			if left == 0 {
				return 0, io.EOF
			}
			left--
			time.Sleep(2 * stall) // a slow client
			return copy(p, "piece"), nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if body := <-got; body != strings.Repeat("piece", pieces) {
		t.Errorf("the upstream received %q", body)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
