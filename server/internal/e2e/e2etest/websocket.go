package e2etest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
)

// ServeWebSocketEcho runs an upstream whose WebSockets echo messages, and returns
// its URL. Each WebSocket passes the error that ends it to ended.
func ServeWebSocketEcho(t *testing.T, ended func(error)) string {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		for err == nil {
			var message []byte
			if _, message, err = conn.Read(t.Context()); err == nil {
				err = conn.Write(t.Context(), websocket.MessageText, message)
			}
		}
		ended(err)
	}))
	t.Cleanup(upstream.Close)
	return upstream.URL
}
