package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// endlessBody is a body that only ends when it is closed.
type endlessBody struct {
	closed chan struct{}
	once   sync.Once
}

func newEndlessBody() *endlessBody { return &endlessBody{closed: make(chan struct{})} }

func (b *endlessBody) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, io.ErrClosedPipe
	default:
		return len(p), nil
	}
}

func (b *endlessBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// The upstream reads no more of a request after the complete response. The windows are closed
// by then, and the stall timeout is long.
func TestHTTP2Upload_EndsWithTheStream(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer hostile
	}{
		{"RST_STREAM with NO_ERROR", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, true, ":status", "200")
			reset(http2.ErrCodeNo)(c, stream)
		}},
		{"GOAWAY below the stream", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, true, ":status", "200")
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(0, 0, nil) })
		}},
		{"the end of the connection", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, true, ":status", "200")
			hangUp(c, stream)
		}},
		{"204", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, true, ":status", "204") }},
		{"204 without an end", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, false, ":status", "204") }},
		{"304", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, true, ":status", "304") }},
		{"400", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, false, ":status", "400") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
				c.Closed = true
				c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
				c.Each(func(stream uint32) { test.answer(c, stream) }, nil)
			})
			up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true}.WithStallTimeout(10*time.Minute))
			body := newEndlessBody()
			resp, err := up.Send(t.Context(), &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: body, ContentLength: -1})
			if err != nil {
				t.Fatal(err)
			}
			await(t, body.closed, "the end of the upload")
			resp.Body.Close()
			closes(t, up)
		})
	}
}

// The upstream responds before the end of the body, and the body fails afterwards.
func TestHTTP2Upload_KeepsAnEarlyRejectionWhenTheBodyFails(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		c.Each(func(stream uint32) {
			c.Fields(stream, false, ":status", "413")
			go func() {
				<-finish
				c.Data(stream, true, "too large")
			}()
		}, nil)
	})
	up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
	body, client := io.Pipe()
	closed := make(chan struct{})
	resp, err := up.Send(t.Context(), &upstream.Request{
		Method: http.MethodPost, Target: "/v1/x", ContentLength: -1, Body: bodyTeller{body, closed},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_ = client.CloseWithError(errors.New("the client left"))
	await(t, closed, "the end of the upload")
	close(finish)
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "too large" {
		t.Errorf("got %q, %v", text, err)
	}
}

// bodyTeller is a body that closes a channel when it is closed.
type bodyTeller struct {
	io.ReadCloser

	closed chan struct{}
}

func (c bodyTeller) Close() error {
	defer close(c.closed)
	return c.ReadCloser.Close()
}

// See RFC 9113 §6.5.3.
func TestHTTP2Settings_UsesTheLastOfARepeatedSetting(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, serveHostile(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error {
			return f.WriteSettings(
				http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096},
				http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 10},
			)
		})
	}, nil))
	getOK(t, up)
	getOK(t, up)
}

// The upstream bounds the streams of a connection, as nginx does, and there are more
// concurrent requests.
func TestHTTP2Burst_SharesConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ calls, streams, want int }{
		{600, 50, 16}, // 12 would do
		{20, 1, 20},
	} {
		t.Run(fmt.Sprintf("%d calls, %d streams a connection", test.calls, test.streams), func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			arrived, finish := make(chan struct{}, test.calls), make(chan struct{})
			url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
				conns.Add(1)
				c.Do(func(f *http2.Framer) error {
					return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(test.streams)})
				})
				c.Each(nil, func(r upstreamtest.HTTP2Request) {
					arrived <- struct{}{}
					<-finish
					c.Fields(r.Stream, true, ":status", "200")
				})
			})
			up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
			errs := make(chan error, test.calls)
			for range test.calls {
				go func() {
					resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					errs <- err
				}()
			}
			for range test.calls {
				await(t, arrived, "the request")
			}
			close(finish)
			for range test.calls {
				if err := await(t, errs, "the answer"); err != nil {
					t.Fatal(err)
				}
			}
			if got := int(conns.Load()); got > test.want {
				t.Errorf("got %d connections, want at most %d", got, test.want)
			}
			closes(t, up)
		})
	}
}

// Requests are canceled while they wait for a connection.
func TestHTTP2Burst_ReleasesStreamsOfCanceledRequests(t *testing.T) {
	t.Parallel()
	proceed := make(chan struct{})
	up := newUpstream(t, serveHostile(t, func(c *upstreamtest.HTTP2Conn) {
		<-proceed
		c.Do(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		})
	}, nil))
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 10)
	for range cap(errs) {
		go func() {
			resp, err := up.Send(ctx, &upstream.Request{Target: "/v1/x"})
			if err == nil {
				resp.Body.Close()
			}
			errs <- err
		}()
	}
	cancel()
	for range cap(errs) {
		if err := await(t, errs, "the end"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	close(proceed)
	getOK(t, up) // the only place is free
	closes(t, up)
}

// The upstream redirects before it has received the body, as nginx does.
func TestHTTP2Redirect_WaitsForASmallBody(t *testing.T) {
	t.Parallel()
	redirected := make(chan struct{})
	bodies := make(chan string, 1)
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		c.Each(func(stream uint32) {
			if stream == 1 {
				c.Fields(stream, true, ":status", "307", "location", "/v1/y")
				close(redirected)
			}
		}, func(r upstreamtest.HTTP2Request) {
			if r.Stream > 1 {
				bodies <- r.Body
				c.Fields(r.Stream, true, ":status", "200")
			}
		})
	})
	up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
	body, client := io.Pipe()
	go func() {
		_, _ = io.WriteString(client, "one ")
		<-redirected
		_, _ = io.WriteString(client, "two")
		client.Close()
	}()
	resp, err := up.Send(t.Context(), &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: body, ContentLength: 7})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d", resp.StatusCode)
	}
	if got := await(t, bodies, "the body"); got != "one two" {
		t.Errorf("got body %q", got)
	}
}

// The upstream closes a connection without GOAWAY when the second request arrives.
func TestHTTP2Idle_RetriesIdempotentRequestsOnStaleConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		req    upstream.Request
		closes int // the connections that are closed
		whole  bool
	}{
		{"GET", upstream.Request{Target: "/v1/x"}, 1, true},
		{"GET, closed twice", upstream.Request{Target: "/v1/x"}, 2, false},
		{"POST", upstream.Request{Method: http.MethodPost, Target: "/v1/x"}, 1, false},
		{"POST with a key", upstream.Request{Method: http.MethodPost, Target: "/v1/x", Header: http.Header{"Idempotency-Key": {"1"}}}, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var closed atomic.Int64
			up := newUpstream(t, serveHostile(t, nil, func(c *upstreamtest.HTTP2Conn, stream uint32) {
				if closed.Add(1) <= int64(test.closes) {
					hangUp(c, stream)
					return
				}
				c.Fields(stream, true, ":status", "200")
			}))
			getOK(t, up)
			resp, err := up.Send(t.Context(), &test.req)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != test.whole {
				t.Errorf("got %v", err)
			}
			if failure, ok := errors.AsType[*upstream.Error](err); err != nil && (!ok || failure.Kind != upstream.KindClosed || failure.Unprocessed) {
				t.Errorf("got %+v", err)
			}
		})
	}
}

// There are many responses that nobody reads.
func TestHTTP2Window_BoundsBufferedDataOfSlowReaders(t *testing.T) {
	t.Parallel()
	const streams, window = 64, 64 << 10
	var sent atomic.Int64
	full := make(chan struct{}, streams)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := bytes.Repeat([]byte("x"), 4<<10)
		for n := 0; ; n += len(piece) {
			if n == window {
				full <- struct{}{}
			}
			if _, err := w.Write(piece); err != nil {
				return
			}
			sent.Add(int64(len(piece)))
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	up := newUpstream(t, upstream.Config{BaseURL: server.URL, RootCAs: rootsOf(server), HTTP2: true})
	var bodies []io.Closer
	for range streams {
		resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
	}
	for range streams {
		await(t, full, "a full window")
	}
	// A server buffers a few pieces that it can't send.
	if got := sent.Load(); got > streams*(window+64<<10) {
		t.Errorf("%d bytes are buffered for %d readers", got, streams)
	}
	for _, body := range bodies {
		body.Close()
	}
	closes(t, up)
}

// Several concurrent responses are many windows long.
func TestHTTP2Window_GrowsForFastReaders(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	url, roots := upstreamtest.ServeHTTP2(t, serveWindow(size))
	up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
	for range 3 {
		resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || n < size {
			t.Errorf("got %d bytes, error %v", n, err)
		}
		if largest, err := strconv.Atoi(resp.Trailer.Get("X-Largest")); err != nil || largest < 256<<10 {
			t.Errorf("got a largest window of %d, error %v", largest, err)
		}
	}
	if got := up.WindowGrowth(); got != 0 {
		t.Errorf("got window growth of %d bytes at the end, want 0", got)
	}
	closes(t, up)
}

// serveWindow responds with size bytes, as the window of the stream allows, and reports the
// largest window in a trailer.
func serveWindow(size int) func(c *upstreamtest.HTTP2Conn) {
	return func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		initial, window, sent, largest, stream := 0, 0, 0, 0, uint32(0)
		for {
			frame, err := c.Framer.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if value, ok := frame.Value(http2.SettingInitialWindowSize); ok {
					initial = int(value)
				}
			case *http2.HeadersFrame:
				stream, window, sent, largest = frame.StreamID, initial, 0, initial
				c.Fields(stream, false, ":status", "200")
			case *http2.WindowUpdateFrame:
				if frame.StreamID != stream || stream == 0 {
					continue
				}
				window += int(frame.Increment)
				largest = max(largest, window)
			}
			for ; stream != 0 && window > 0 && sent < size; sent += 16 << 10 {
				n := min(window, 16<<10)
				window -= n
				c.Data(stream, false, strings.Repeat("x", n))
			}
			if stream != 0 && sent >= size {
				c.Fields(stream, true, "x-largest", strconv.Itoa(largest))
				stream = 0
			}
		}
	}
}

// See RFC 9113 §6.9.2: a window may become negative, and updates fill it up first.
func TestHTTP2Settings_ChangeTheWindowsOfOpenStreams(t *testing.T) {
	t.Parallel()
	const initial, smaller, more = 65535, 1000, 500
	got := make(chan int, 1000) // the sizes of frames
	var conn atomic.Pointer[upstreamtest.HTTP2Conn]
	acks := make(chan struct{}, 10)
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		conn.Store(c)
		c.Do(func(f *http2.Framer) error { _ = f.WriteSettings(); return f.WriteWindowUpdate(0, 1<<20) })
		for {
			frame, err := c.Framer.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.DataFrame:
				got <- len(frame.Data())
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					c.Do((*http2.Framer).WriteSettingsAck)
				}
			case *http2.PingFrame:
				if frame.IsAck() {
					acks <- struct{}{}
				}
			}
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url, RootCAs: roots, HTTP2: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		resp, err := up.Send(ctx, &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: newEndlessBody(), ContentLength: -1})
		if err == nil {
			resp.Body.Close()
		}
	}()
	expect := func(want int) {
		t.Helper()
		for sum := 0; sum < want; {
			n := await(t, got, "data")
			if sum += n; sum > want || n > 16<<10 {
				t.Fatalf("got a frame of %d bytes, %d in total, want %d", n, sum, want)
			}
		}
	}
	expect(initial)
	conn.Load().Do(func(f *http2.Framer) error {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: smaller})
		_ = f.WriteWindowUpdate(1, initial-smaller)
		return f.WritePing(false, [8]byte{})
	})
	await(t, acks, "the PING")
	conn.Load().Do(func(f *http2.Framer) error { return f.WriteWindowUpdate(1, more) })
	expect(more)
	conn.Load().Do(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: smaller + more})
	})
	expect(more)
	cancel()
	await(t, ended, "the end")
	closes(t, up)
}
