package websocket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

const (
	// The close frame to a client, in front of its reason.
	closeFrame = "\x88\x1d\x03\xe9" + closeReason

	closeReason   = "the server is shutting down"
	webSocketHead = "GET /v1/realtime?model=m HTTP/1.1\nHost: front\nConnection: Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n"
	webSocketResponse = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n"
)

// WebSockets do not end by themselves. At a shutdown, the server sends close frames
// to both sides, which have time to answer.
func TestWebSocket_ShutdownSendsCloseFrames(t *testing.T) {
	t.Parallel()
	const clients = 10
	type ending struct {
		side string
		err  error
	}
	endings := make(chan ending, 2*clients)
	front, stop, served := e2etest.StartWithDrainTimeout(t, e2etest.Timeout, e2etest.ServeWebSocketEcho(t, func(err error) { endings <- ending{"upstream", err} }))
	for range clients {
		conn, _, err := websocket.Dial(t.Context(), "ws://"+front.Address+"/v1/realtime", &websocket.DialOptions{
			HTTPClient: servertest.HTTPClient(t, false),
			HTTPHeader: http.Header{"Origin": {"https://app.example"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, message, err := conn.Read(t.Context()); err != nil || string(message) != "hello" {
			t.Fatalf("client got message %q and error %v", message, err)
		}
		go func() {
			_, _, err := conn.Read(t.Context())
			endings <- ending{"client", err}
		}()
	}
	stop()
	for range 2 * clients {
		end := e2etest.Receive(t, endings, "the close frame")
		checkCloseFrame(t, end.side, end.err)
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// Over TLS, reads are interrupted differently.
func TestWebSocket_ShutdownSendsCloseFramesOverTLS(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	front, roots := e2etest.StartTLSServer(t, e2etest.ServeWebSocketEcho(t, func(err error) { ended <- err }))
	conn, _, err := websocket.Dial(t.Context(), front.URL+"/v1/realtime", &websocket.DialOptions{
		HTTPClient: e2etest.NewTransportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP1, false),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Ping(conn.CloseRead(t.Context())); err != nil {
		t.Fatal(err)
	}
	front.Stop()
	checkCloseFrame(t, "upstream", e2etest.Receive(t, ended, "the close frame"))
}

func checkCloseFrame(t *testing.T, side string, err error) {
	t.Helper()
	want := websocket.CloseError{Code: websocket.StatusGoingAway, Reason: closeReason}
	if got, ok := errors.AsType[websocket.CloseError](err); !ok || got != want {
		t.Errorf("%s got error %v, want %v", side, err, want)
	}
}

// openWebSocket opens a WebSocket on a raw socket.
func openWebSocket(t *testing.T, front *servertest.Front) *upstreamtest.Conn {
	t.Helper()
	network, err := net.Dial("tcp", front.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	if err := network.SetDeadline(time.Now().Add(e2etest.Timeout)); err != nil {
		t.Fatal(err)
	}
	client := &upstreamtest.Conn{Conn: network, Reader: bufio.NewReader(network)}
	client.Send(webSocketHead)
	head, err := client.ReadHead()
	if err != nil || head.Line != "HTTP/1.1 101 Switching Protocols" {
		t.Fatalf("client got status line %q and error %v", head.Line, err)
	}
	return client
}

// The close frame follows a frame in progress.
func TestWebSocket_ShutdownKeepsFramesWhole(t *testing.T) {
	t.Parallel()
	const half = "\x82\x83keysfg" // a frame without its last byte
	arrived, goOn, heard := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err != nil {
			return
		}
		conn.Send(webSocketResponse + "\x82\x05ab")
		if _, err := conn.Reader.Peek(len(half)); err != nil {
			return
		}
		close(arrived)
		e2etest.Receive(t, goOn, "the shutdown")
		io.WriteString(conn, "cde\x81\x04late\x88\x00") // fails at the other end
		rest, _ := io.ReadAll(conn.Reader)
		heard <- string(rest)
	})
	front, stop, served := e2etest.StartWithDrainTimeout(t, e2etest.Timeout, url)
	client := openWebSocket(t, front)
	frame := make([]byte, 4)
	if _, err := io.ReadFull(client.Reader, frame); err != nil {
		t.Fatal(err)
	}
	io.WriteString(client, half) // fails at the other end
	e2etest.Receive(t, arrived, "half a frame")
	stop()
	for refused := false; !refused; {
		conn, err := net.Dial("tcp", front.Address)
		if refused = err != nil; !refused {
			conn.Close()
		}
	}
	close(goOn)
	io.WriteString(client, "h\x88\x80keys") // and a close frame
	rest, err := io.ReadAll(client.Reader)
	if want := "cde" + closeFrame; err != nil || string(rest) != want {
		t.Errorf("client got %q and error %v, want %q", rest, err, want)
	}
	got, masked := e2etest.Receive(t, heard, "the upstream to be closed"), len(closeFrame)+len("keys")
	if !strings.HasPrefix(got, half+"h\x88\x9d") || len(got) != len(half+"h")+masked {
		t.Errorf("upstream got %q", got)
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// A peer that doesn't answer the close frame is disconnected after the timeout.
func TestWebSocket_ShutdownAbortsAfterTimeout(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err != nil {
			return
		}
		conn.Send(webSocketResponse)
		conn.WaitEnd()
		close(ended)
	})
	front, stop, served := e2etest.StartWithDrainTimeout(t, 50*time.Millisecond, url)
	client := openWebSocket(t, front)
	stop()
	if got, err := io.ReadAll(client.Reader); err != nil || string(got) != closeFrame {
		t.Errorf("client got %q and error %v", got, err)
	}
	e2etest.Receive(t, ended, "the upstream to see the end")
	err := e2etest.Receive(t, served, "the server to shut down")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "aborted requests in progress after 50ms") {
		t.Errorf("Serve returned %v", err)
	}
}
