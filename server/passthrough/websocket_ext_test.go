package passthrough_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// serveWebSocket runs an upstream that accepts WebSockets, and returns its URL.
func serveWebSocket(tb testing.TB, options *websocket.AcceptOptions, script func(*websocket.Conn, *http.Request)) string {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, options)
		if err != nil {
			tb.Errorf("upstream: %v", err)
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		script(conn, r)
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

// dialWebSocket opens a WebSocket through the passthrough at address.
func dialWebSocket(tb testing.TB, address string, options *websocket.DialOptions) (*websocket.Conn, *http.Response) {
	tb.Helper()
	if options == nil {
		options = new(websocket.DialOptions)
	}
	options.HTTPClient = newHTTP1Client(tb)
	conn, resp, err := websocket.Dial(tb.Context(), "ws://"+address+"/v1/realtime?model=m", options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn, resp
}

// echo sends received messages back until the WebSocket ends.
func echo(conn *websocket.Conn, r *http.Request) {
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// The client's offer reaches the upstream unchanged, in one header, and the upstream's choice
// reaches the client.
func TestWebSocket_ForwardsSubprotocols(t *testing.T) {
	t.Parallel()
	browser := []string{"realtime", "openai-insecure-api-key.ek_123", "openai-beta.realtime-v1"}
	for _, test := range []struct {
		name            string
		offered, served []string
		chosen          string
	}{
		{"one offered and chosen", []string{"realtime"}, []string{"realtime"}, "realtime"},
		{"the second of several chosen", []string{"a", "realtime", "b"}, []string{"realtime"}, "realtime"},
		{"none chosen", []string{"a", "b"}, nil, ""},
		{"none offered", nil, []string{"realtime"}, ""},
		{"a browser's, with its key", browser, []string{"realtime"}, "realtime"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			offered := make(chan []string, 1)
			url := serveWebSocket(t, &websocket.AcceptOptions{Subprotocols: test.served}, func(conn *websocket.Conn, r *http.Request) {
				offered <- r.Header.Values("Sec-WebSocket-Protocol")
				echo(conn, r)
			})
			conn, resp := dialWebSocket(t, forward(t, url), &websocket.DialOptions{Subprotocols: test.offered})
			var want []string
			if test.offered != nil {
				want = []string{strings.Join(test.offered, ",")}
			}
			if got := await(t, offered, "the upgrade"); !slices.Equal(got, want) {
				t.Errorf("upstream received the offer %q, want %q", got, want)
			}
			if got := conn.Subprotocol(); got != test.chosen {
				t.Errorf("client received %q, want %q", got, test.chosen)
			}
			if _, ok := resp.Header["Sec-Websocket-Protocol"]; ok != (test.chosen != "") {
				t.Errorf("client received headers %q", resp.Header)
			}
		})
	}
}

// Extensions and compressed frames are end-to-end.
func TestWebSocket_ForwardsCompressedFrames(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name string
		mode websocket.CompressionMode
		want string
	}{
		{"with context", websocket.CompressionContextTakeover, "permessage-deflate"},
		{"without context", websocket.CompressionNoContextTakeover, "permessage-deflate; client_no_context_takeover; server_no_context_takeover"},
		{"not at all", websocket.CompressionDisabled, ""},
	} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			offered := make(chan string, 1)
			url := serveWebSocket(t, &websocket.AcceptOptions{CompressionMode: mode.mode, CompressionThreshold: 1}, func(conn *websocket.Conn, r *http.Request) {
				offered <- r.Header.Get("Sec-WebSocket-Extensions")
				echo(conn, r)
			})
			conn, resp := dialWebSocket(t, forward(t, url), &websocket.DialOptions{CompressionMode: mode.mode, CompressionThreshold: 1})
			if got := await(t, offered, "the upgrade"); got != mode.want {
				t.Errorf("upstream received the offer %q, want %q", got, mode.want)
			}
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != mode.want {
				t.Errorf("client received %q, want %q", got, mode.want)
			}
			for range 3 {
				exchangeMessage(t, conn, []byte(strings.Repeat("the same again ", 1000)))
			}
		})
	}
}

// exchangeMessage sends a message to an echo and checks the reply.
func exchangeMessage(t *testing.T, conn *websocket.Conn, message []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- conn.Write(t.Context(), websocket.MessageBinary, message) }()
	_, got, err := conn.Read(t.Context())
	if err != nil || !bytes.Equal(got, message) {
		t.Fatalf("sent %d bytes, got %d back, %v", len(message), len(got), err)
	}
	if err := await(t, sent, "the message to leave"); err != nil {
		t.Fatal(err)
	}
}

func TestWebSocket_ForwardsMessagesOfAnySize(t *testing.T) {
	t.Parallel()
	conn, _ := dialWebSocket(t, forward(t, serveWebSocket(t, nil, echo)), nil)
	// Sizes at which the frame header grows, and larger than all buffers.
	for _, size := range []int{0, 1, 125, 126, 4 << 10, 1<<16 - 1, 1 << 16, 1 << 20, 16 << 20} {
		message := make([]byte, size)
		if _, err := rand.Read(message); err != nil {
			t.Fatal(err)
		}
		exchangeMessage(t, conn, message)
	}
}

// Messages in many frames, with pings between them, are sent in both directions.
func TestWebSocket_ForwardsFragmentsAndPings(t *testing.T) {
	t.Parallel()
	const fragments = 50
	send := func(ctx context.Context, conn *websocket.Conn) error {
		w, err := conn.Writer(ctx, websocket.MessageText)
		if err != nil {
			return err
		}
		for range fragments {
			if _, err := io.WriteString(w, "fragment "); err != nil { // each is a frame
				return err
			}
			if err := conn.Ping(ctx); err != nil { // it waits for the pong
				return err
			}
		}
		return w.Close()
	}
	talk := func(ctx context.Context, conn *websocket.Conn) error {
		sent := make(chan error, 1)
		go func() { sent <- send(ctx, conn) }()
		_, message, err := conn.Read(ctx)
		if err == nil && string(message) != strings.Repeat("fragment ", fragments) {
			err = errors.New("the message differs: " + string(message))
		}
		// Reading continues in order to reply to pings.
		ctx = conn.CloseRead(ctx)
		return errors.Join(err, <-sent, conn.Ping(ctx))
	}
	result, over := make(chan error, 1), make(chan struct{})
	url := serveWebSocket(t, nil, func(conn *websocket.Conn, _ *http.Request) {
		result <- talk(t.Context(), conn)
		<-over
	})
	conn, _ := dialWebSocket(t, forward(t, url), nil)
	defer close(over)
	if err := talk(t.Context(), conn); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := await(t, result, "the upstream"); err != nil {
		t.Errorf("upstream: %v", err)
	}
}

// The close code and reason of one side reach the other one, whose reply comes back.
func TestWebSocket_ForwardsCloseCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		code   websocket.StatusCode
		reason string
	}{
		{"normal", websocket.StatusNormalClosure, "bye"},
		{"going away", websocket.StatusGoingAway, ""},
		{"a policy violation", websocket.StatusPolicyViolation, "no such key"},
		{"an internal error", websocket.StatusInternalError, strings.Repeat("x", 123)},
		{"an application-defined code", 4000, "session_expired"},
		{"no status", websocket.StatusNoStatusRcvd, ""},
	} {
		want := websocket.CloseError{Code: test.code, Reason: test.reason}
		check := func(t *testing.T, side string, err error) {
			t.Helper()
			if got, ok := errors.AsType[websocket.CloseError](err); !ok || got != want {
				t.Errorf("%s got %v, want %v", side, err, want)
			}
		}
		t.Run(test.name+", by the client", func(t *testing.T) {
			t.Parallel()
			result := make(chan error, 1)
			url := serveWebSocket(t, nil, func(conn *websocket.Conn, _ *http.Request) {
				_, _, err := conn.Read(t.Context())
				result <- err
			})
			conn, _ := dialWebSocket(t, forward(t, url), nil)
			if err := conn.Close(test.code, test.reason); err != nil { // it waits for the answer
				t.Errorf("client: %v", err)
			}
			check(t, "upstream", await(t, result, "the close frame"))
		})
		t.Run(test.name+", by the upstream", func(t *testing.T) {
			t.Parallel()
			result := make(chan error, 1)
			url := serveWebSocket(t, nil, func(conn *websocket.Conn, _ *http.Request) {
				result <- conn.Close(test.code, test.reason)
			})
			conn, _ := dialWebSocket(t, forward(t, url), nil)
			_, _, err := conn.Read(t.Context())
			check(t, "client", err)
			if err := await(t, result, "the answer"); err != nil {
				t.Errorf("upstream: %v", err)
			}
		})
	}
}

// The upstream closes its connection while the client is still sending, so that TCP resets
// it. The client still receives the reason.
func TestWebSocket_ForwardsTheCloseReasonToASendingClient(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		head, err := conn.ReadHead()
		if err != nil {
			return
		}
		conn.Send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: " +
			acceptKey(head.Value("Sec-WebSocket-Key")) + "\n\n")
		if _, err := conn.Reader.Peek(1000); err != nil {
			return
		}
		io.WriteString(conn, "\x88\x02\x03\xf0") // shows at the other end
	})
	conn, _ := dialWebSocket(t, forward(t, url), nil)
	ctx, cancel := context.WithCancel(t.Context())
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		for err := error(nil); err == nil; {
			err = conn.Write(ctx, websocket.MessageBinary, make([]byte, 10_000))
		}
	}()
	_, _, err := conn.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusPolicyViolation {
		t.Errorf("client received %v", err)
	}
	cancel()
	<-talked
}

// acceptKey returns the Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
