package passthrough_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

const (
	upgradeRequest = "GET /v1/realtime?model=m HTTP/1.1\nHost: front\nConnection: keep-alive, Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Key: k\nSec-WebSocket-Version: 13\nSec-WebSocket-Protocol: realtime, other\n\n"
	upgradeAnswer = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Accept: a\nSec-WebSocket-Protocol: realtime\n\n"
)

func TestWebSocket_IsForwarded(t *testing.T) {
	t.Parallel()
	heads := make(chan upstreamtest.Head, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		head, err := conn.ReadHead()
		if err != nil {
			return
		}
		heads <- head
		conn.Send(upgradeAnswer + "hello") // in the same packet as the header
		for {
			line, err := conn.Reader.ReadString('.')
			if err != nil {
				return
			}
			conn.Send(strings.ToUpper(line))
		}
	})
	client := connect(t, forward(t, url))
	client.Send(upgradeRequest + "early.") // before the answer is there
	head := await(t, heads, "the request")
	if got, want := fieldsOf(head.Fields, "host", "via"), []string{
		"connection: Upgrade", "sec-websocket-key: k", "sec-websocket-protocol: realtime, other", "sec-websocket-version: 13", "upgrade: websocket",
	}; !slices.Equal(got, want) {
		t.Errorf("upstream received %q, want %q", got, want)
	}
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if head.Line != "HTTP/1.1 101 Switching Protocols" {
		t.Errorf("client received %q", head.Line)
	}
	if got, want := fieldsOf(head.Fields), []string{
		"connection: Upgrade", "sec-websocket-accept: a", "sec-websocket-protocol: realtime", "upgrade: websocket", "via: 1.1 openai-connect",
	}; !slices.Equal(got, want) {
		t.Errorf("client received %q, want %q", got, want)
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client.Reader, got); err != nil || string(got) != want {
			t.Fatalf("client received %q, %v, want %q", got, err, want)
		}
	}
	expect("helloEARLY.")
	for i := range 10 {
		message := fmt.Sprintf("message %d of %s.", i, strings.Repeat("x", i*10_000))
		client.Send(message)
		expect(strings.ToUpper(message))
	}
}

// When one side closes, the other one sees it and can still send a close frame.
func TestWebSocket_ForwardsTheCloseOfEitherSide(t *testing.T) {
	t.Parallel()
	type closeWriter interface{ CloseWrite() error }

	t.Run("by the client", func(t *testing.T) {
		t.Parallel()
		ended := make(chan string, 1)
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send(upgradeAnswer)
			rest, err := io.ReadAll(conn.Reader)
			conn.Send("goodbye")
			ended <- fmt.Sprint(string(rest), err)
		})
		client := connect(t, forward(t, url))
		client.Send(upgradeRequest)
		if _, err := client.ReadHead(); err != nil {
			t.Fatal(err)
		}
		client.Send("last words")
		client.Conn.(closeWriter).CloseWrite() // shows at the other end
		if got := await(t, ended, "the upstream to see the end"); got != "last words<nil>" {
			t.Errorf("upstream received %q", got)
		}
		if rest, err := io.ReadAll(client.Reader); err != nil || string(rest) != "goodbye" {
			t.Errorf("client received %q, %v", rest, err)
		}
	})

	t.Run("by the upstream", func(t *testing.T) {
		t.Parallel()
		ended := make(chan string, 1)
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send(upgradeAnswer + "last words")
			conn.Conn.(closeWriter).CloseWrite() // shows at the other end
			rest, err := io.ReadAll(conn.Reader)
			ended <- fmt.Sprint(string(rest), err)
		})
		client := connect(t, forward(t, url))
		client.Send(upgradeRequest)
		if _, err := client.ReadHead(); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(client.Reader); err != nil || string(rest) != "last words" {
			t.Errorf("client received %q, %v", rest, err)
		}
		client.Send("goodbye")
		client.Close()
		if got := await(t, ended, "the upstream to see the end"); got != "goodbye<nil>" {
			t.Errorf("upstream received %q", got)
		}
	})

	t.Run("by a reset of the client", func(t *testing.T) {
		t.Parallel()
		ended := make(chan struct{})
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send(upgradeAnswer)
			conn.WaitEnd()
			close(ended)
		})
		client := connect(t, forward(t, url))
		client.Send(upgradeRequest)
		if _, err := client.ReadHead(); err != nil {
			t.Fatal(err)
		}
		client.Conn.(interface{ SetLinger(seconds int) error }).SetLinger(0) // shows at the other end
		client.Close()
		await(t, ended, "the upstream to see the end")
	})
}

func TestUpgrade_ForwardsARejection(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 401 Unauthorized\nContent-Length: 2\n\nno")
		}
	})
	client := connect(t, forward(t, url))
	for range 2 {
		client.Send(upgradeRequest)
		head, err := client.ReadHead()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.ReadBody(head); err != nil || head.Line != "HTTP/1.1 401 Unauthorized" || got.Body != "no" {
			t.Errorf("client got %q %q, %v", head.Line, got.Body, err)
		}
	}
}

// WebSockets use HTTP/1.1 even if other requests to the upstream use HTTP/2.
func TestWebSocket_UsesHTTP1WithAnHTTP2Upstream(t *testing.T) {
	t.Parallel()
	address := forwardWith(t, serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, r.Proto)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack over %s: %v", r.Proto, err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, strings.ReplaceAll(upgradeAnswer, "\n", "\r\n")) // shows at the other end
		io.Copy(conn, buffered)                                               // until either side ends
	}), noOptions)
	resp, err := clients[0].new(t).Get("http://" + address + "/v1/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if proto, err := io.ReadAll(resp.Body); err != nil || string(proto) != "HTTP/2.0" {
		t.Errorf("upstream received a request over %s, %v", proto, err)
	}
	client := connect(t, address)
	client.Send(upgradeRequest + "echo")
	if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("client received %q, %v", head.Line, err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(client.Reader, got); err != nil || string(got) != "echo" {
		t.Errorf("client received %q, %v", got, err)
	}
}
