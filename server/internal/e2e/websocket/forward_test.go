package websocket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestWebSocket_ForwardsMessagesAndClose(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	front := servertest.Start(t, server.Config{Upstream: e2etest.ServeWebSocketEcho(t, func(err error) { closed <- err })})
	conn, _, err := websocket.Dial(t.Context(), front.URL+"/v1/realtime?model=m", &websocket.DialOptions{
		HTTPClient:      servertest.HTTPClient(t, false),
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(64 << 10)
	for _, message := range []string{"", "hello", strings.Repeat("a", 32<<10)} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); err != nil || string(got) != message {
			t.Fatalf("got %d bytes and error %v, want %d bytes", len(got), err, len(message))
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Error(err)
	}
	want := websocket.CloseError{Code: websocket.StatusNormalClosure, Reason: "bye"}
	err = e2etest.Receive(t, closed, "the close frame")
	if got, ok := errors.AsType[websocket.CloseError](err); !ok || got != want {
		t.Errorf("the upstream got error %v, want %v", err, want)
	}
}
