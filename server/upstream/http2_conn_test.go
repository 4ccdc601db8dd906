package upstream

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	frames "golang.org/x/net/http2"
)

// More requests start than the upstream reads at once, and the upstream sends a PING
// meanwhile.
func TestHTTP2Queue_HoldsManyRequests(t *testing.T) {
	t.Parallel()
	const requests, size = 64, 16 << 10
	network, peer := net.Pipe()
	defer peer.Close()
	h := &http1Client{authority: "a", headerTimeout: time.Minute, stallTimeout: time.Minute}
	c := newHTTP2Conn(h, network, time.Minute, func(*http2Conn) {}, func() bool { return false })
	written := make(chan error, 1)
	framer := frames.NewFramer(peer, peer)
	go func() {
		_ = framer.WriteSettings(frames.Setting{ID: frames.SettingInitialWindowSize, Val: 1 << 30})
		written <- framer.WriteWindowUpdate(0, 1<<30)
	}()
	if _, err := io.ReadFull(peer, make([]byte, len(frames.ClientPreface))); err != nil {
		t.Fatal(err)
	}
	<-c.settled
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	go func() { // comes after the window, which is taken then
		for range 2 {
			_ = framer.WritePing(false, [8]byte{1})
		}
		written <- nil
	}()
	<-written
	for range requests {
		if c.reserve(1) != 1 {
			t.Fatal("got no stream, want 1")
		}
		req := &Request{Method: http.MethodPost, Body: bytes.NewReader(make([]byte, size))}
		header, err := h.newHTTP2Header(req, "/")
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, err := c.open(context.Background(), req, header, req.Body); rest != nil || err != nil {
			t.Fatalf("got rest %v and error %v, want neither", rest, err)
		}
	}
	go func() { written <- framer.WritePing(false, [8]byte{2}) }()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	for ended := 0; ended < requests; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %d requests: %v (connection: %v)", ended, err, c.err())
		}
		if data, ok := frame.(*frames.DataFrame); ok && data.StreamEnded() {
			ended++
		}
	}
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	c.fail(errUnused, frames.ErrCodeNo)
	<-c.done
}
