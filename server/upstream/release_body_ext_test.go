package upstream_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A response may last for minutes, and its request may contain an image.
func TestHTTP1Upload_ReleasesTheBodyWhenItIsSent(t *testing.T) {
	t.Parallel()
	received, ended := make(chan struct{}), make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err != nil {
			return
		}
		conn.Send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
		close(received)
		<-ended
	})
	defer close(ended)
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	body := new([1 << 20]byte)
	held := weak.Make(body)
	resp, err := up.Send(t.Context(), &upstream.Request{Method: "POST", Target: "/v1/x", Body: bytes.NewReader(body[:])})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	await(t, received, "the request")
	for waited := time.Now(); held.Value() != nil; runtime.GC() {
		if time.Since(waited) > 20*time.Second {
			t.Fatal("the request body is still in memory while the response is open")
		}
	}
}
