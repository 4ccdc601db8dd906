package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	frames "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The upstream responds with arbitrary bytes. The request must end with a response with valid
// headers, or with an error that describes the failure.
func FuzzHTTP2Response(f *testing.F) {
	seed := func(write func(w *frames.Framer, block func(fields ...string) []byte)) {
		var all, block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		write(frames.NewFramer(&all, nil), func(fields ...string) []byte {
			block.Reset()
			for i := 0; i < len(fields); i += 2 {
				_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
			}
			return bytes.Clone(block.Bytes())
		})
		f.Add(all.Bytes())
	}
	seed(func(w *frames.Framer, block func(...string) []byte) {
		_ = w.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "103", "link", "a"), EndHeaders: true})
		_ = w.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200", "content-length", "5", "trailer", "x-t"), EndHeaders: true})
		_ = w.WriteDataPadded(1, false, []byte("hello"), make([]byte, 3))
		_ = w.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: block("x-t", "1"), EndHeaders: true, EndStream: true})
	})
	seed(func(w *frames.Framer, block func(...string) []byte) {
		_ = w.WriteHeaders(frames.HeadersFrameParam{StreamID: 1, BlockFragment: block(":status", "200")})
		_ = w.WriteContinuation(1, true, block("content-length", "5", "content-length", "6"))
		_ = w.WriteData(1, true, []byte("hello"))
	})
	seed(func(w *frames.Framer, _ func(...string) []byte) {
		_ = w.WritePing(false, [8]byte{})
		_ = w.WriteWindowUpdate(1, 1<<31-1)
		_ = w.WriteSettings(frames.Setting{ID: frames.SettingInitialWindowSize, Val: 1<<31 - 1})
		_ = w.WriteRSTStream(1, frames.ErrCodeRefusedStream)
		_ = w.WriteGoAway(0, frames.ErrCodeNo, nil)
	})
	f.Fuzz(func(t *testing.T, answer []byte) {
		network, peer := net.Pipe()
		defer peer.Close()
		h := &http1Client{
			authority:     "a",
			headerTimeout: time.Minute, stallTimeout: time.Minute,
		}
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		c := newHTTP2Conn(h, network, time.Minute, func(*http2Conn) {}, func() bool { return false })
		if frames.NewFramer(peer, nil).WriteSettings() != nil {
			t.Fatal("the settings were not accepted")
		}
		<-c.settled
		if c.reserve(1) != 1 {
			t.Fatal("got no stream, want 1")
		}
		req := &Request{Method: http.MethodGet, Interim: func(int, http.Header) {}}
		header, err := h.newHTTP2Header(req, "/")
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.open(context.Background(), req, header, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = peer.Write(answer)
			_ = peer.Close()
		}()
		resp, err := s.awaitResponse()
		if err == nil {
			if checkResponse(req, resp) != nil {
				t.Errorf("got invalid response %v", resp)
			}
			_, err = io.Copy(io.Discard, s)
			_ = s.Close()
		} else {
			err = s.classify(err)
		}
		if _, ok := errors.AsType[*Error](err); err != nil && !ok {
			t.Errorf("got %v", err)
		}
		c.closeIdle()
		<-c.done
	})
}
