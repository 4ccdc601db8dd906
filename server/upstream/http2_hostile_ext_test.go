package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// event is an event of an event stream.
const event = "data: {}\n\n"

// hostile responds to an HTTP/2 request for another target than /v1/ok.
type hostile func(c *upstreamtest.HTTP2Conn, stream uint32)

// frame returns a hostile that writes one frame.
func frame(write func(f *http2.Framer, stream uint32) error) hostile {
	return func(c *upstreamtest.HTTP2Conn, stream uint32) {
		c.Do(func(f *http2.Framer) error { return write(f, stream) })
	}
}

// after returns a hostile that starts a valid response first.
func after(act hostile) hostile {
	return func(c *upstreamtest.HTTP2Conn, stream uint32) {
		c.Fields(stream, false, ":status", "200", "content-type", "text/event-stream")
		c.Data(stream, false, event)
		act(c, stream)
	}
}

// fields returns a hostile that responds with a header and a short body.
func fields(all ...string) hostile {
	return func(c *upstreamtest.HTTP2Conn, stream uint32) {
		c.Fields(stream, false, all...)
		c.Data(stream, true, event)
	}
}

// endless returns a hostile that repeats act until the client disconnects.
func endless(act func(c *upstreamtest.HTTP2Conn, stream uint32) bool) hostile {
	return func(c *upstreamtest.HTTP2Conn, stream uint32) {
		for act(c, stream) {
		}
	}
}

func reset(code http2.ErrCode) hostile {
	return frame(func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, code) })
}

func hangUp(c *upstreamtest.HTTP2Conn, _ uint32) { c.NetConn().Close() }

// serveHostile runs an upstream that starts each connection with opening and responds with
// answer.
func serveHostile(t *testing.T, opening func(c *upstreamtest.HTTP2Conn), answer hostile) upstream.Config {
	t.Helper()
	url, roots := upstreamtest.ServeHTTP2(t, func(c *upstreamtest.HTTP2Conn) {
		if opening == nil {
			c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		} else {
			opening(c)
		}
		c.Each(nil, func(r upstreamtest.HTTP2Request) {
			if answer == nil || r.Header[":path"] == "/v1/ok" {
				c.Fields(r.Stream, false, ":status", "200")
				c.Data(r.Stream, true, "fine")
				return
			}
			answer(c, r.Stream)
		})
	})
	return upstream.Config{
		BaseURL: url, RootCAs: roots, HTTP2: true,
		ResponseHeaderTimeout: 20 * time.Second, ConnectTimeout: 20 * time.Second,
	}.WithStallTimeout(20 * time.Second)
}

// getOK sends a request with a valid response.
func getOK(t *testing.T, up *upstream.Upstream) {
	t.Helper()
	resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/ok"})
	if err != nil {
		t.Fatalf("the next request: %v", err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "fine" {
		t.Errorf("the next request: got %q, %v", body, err)
	}
}

// closes checks that no connection remains open.
func closes(t *testing.T, up *upstream.Upstream) {
	t.Helper()
	up.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); up.Stats() != (upstream.Stats{}); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got open connections %+v, want none", up.Stats())
		}
	}
}

// The responses violate HTTP/2 or exceed limits.
func TestHTTP2Hostile_EndsEachRequestWithTheRightErrorAndServesTheNext(t *testing.T) {
	t.Parallel()
	const whole = upstream.Kind(0) // the answer is whole
	large := strings.Repeat("b", 8000)
	for _, test := range []struct {
		name   string
		answer hostile
		early  upstream.Kind // of the error in place of an answer, if any
		late   upstream.Kind // of the error within the body, if any
	}{
		{"a reset in the middle, CANCEL", after(reset(http2.ErrCodeCancel)), whole, upstream.KindTruncated},
		{"a reset in the middle, NO_ERROR", after(reset(http2.ErrCodeNo)), whole, upstream.KindTruncated},
		{"a reset in the middle, REFUSED_STREAM", after(reset(http2.ErrCodeRefusedStream)), whole, upstream.KindTruncated},
		{"a reset in the middle, of an unknown code", after(reset(0x7777)), whole, upstream.KindTruncated},
		{"a reset instead of a response, NO_ERROR", reset(http2.ErrCodeNo), upstream.KindClosed, whole},
		{"a reset instead of a response, HTTP_1_1_REQUIRED", reset(http2.ErrCodeHTTP11Required), upstream.KindClosed, whole},
		{"a reset instead of a response, REFUSED_STREAM", reset(http2.ErrCodeRefusedStream), upstream.KindClosed, whole},
		{"GOAWAY with a lower last stream in the middle", after(frame(func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, 0, nil) })), whole, upstream.KindTruncated},
		{"GOAWAY with this stream, then the end", after(func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(stream, http2.ErrCodeInternal, []byte(secret)) })
			hangUp(c, stream)
		}), whole, upstream.KindTruncated},
		{"GOAWAY with this stream, then the rest", after(func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error { return f.WriteGoAway(stream, 0, nil) })
			c.Data(stream, true, "")
		}), whole, whole},
		{"the end of the connection in the middle", after(hangUp), whole, upstream.KindTruncated},
		{"the end of TLS in the middle", after(func(c *upstreamtest.HTTP2Conn, _ uint32) { c.CloseWrite() }), whole, upstream.KindTruncated},
		{"the end of the connection instead of a response", hangUp, upstream.KindClosed, whole},

		{"a body shorter than its length", fields(":status", "200", "content-length", "5000"), whole, upstream.KindTruncated},
		{"no body despite a length", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, true, ":status", "200", "content-length", "5000")
		}, whole, upstream.KindTruncated},
		{"a trailer instead of the rest", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "200", "content-length", "5000")
			c.Data(stream, false, event)
			c.Fields(stream, true, "x-t", "1")
		}, whole, upstream.KindTruncated},
		{"a body longer than its length", fields(":status", "200", "content-length", "3"), whole, upstream.KindMalformed},
		{"two lengths", fields(":status", "200", "content-length", "10", "content-length", "20"), upstream.KindMalformed, whole},
		{"the same length twice", fields(":status", "200", "content-length", "10", "content-length", "10"), whole, whole},
		{"two lengths in one field", fields(":status", "200", "content-length", "10, 10"), upstream.KindMalformed, whole},
		{"a length in words", fields(":status", "200", "content-length", "ten"), upstream.KindMalformed, whole},
		{"a length with a sign", fields(":status", "200", "content-length", "+10"), upstream.KindMalformed, whole},
		{"an empty length", fields(":status", "200", "content-length", ""), upstream.KindMalformed, whole},
		{"a length beyond 63 bits", fields(":status", "200", "content-length", "9223372036854775808"), upstream.KindMalformed, whole},

		{"no status", fields("content-type", "text/plain"), upstream.KindMalformed, whole},
		{"two statuses", fields(":status", "200", ":status", "500"), upstream.KindMalformed, whole},
		{"a status after a field", fields("x", "y", ":status", "200"), upstream.KindMalformed, whole},
		{"a pseudo-header field of requests", fields(":status", "200", ":path", "/"), upstream.KindMalformed, whole},
		{"status 000", fields(":status", "000"), upstream.KindMalformed, whole},
		{"status 099", fields(":status", "099"), upstream.KindMalformed, whole},
		{"status 1000", fields(":status", "1000"), upstream.KindMalformed, whole},
		{"status -20", fields(":status", "-20"), upstream.KindMalformed, whole},
		{"status +20", fields(":status", "+20"), upstream.KindMalformed, whole},
		{"an empty status", fields(":status", ""), upstream.KindMalformed, whole},
		{"status 101, which HTTP/2 lacks", fields(":status", "101", "upgrade", "websocket"), upstream.KindMalformed, whole},
		{"status 101 before another", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "101")
			c.Fields(stream, false, ":status", "200")
			c.Data(stream, true, event)
		}, upstream.KindMalformed, whole},
		{"an interim response with the end of the stream", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, true, ":status", "103") }, upstream.KindMalformed, whole},
		{"status 204 with a body", fields(":status", "204"), whole, whole},
		{"status 304 with a body", fields(":status", "304", "content-length", "100"), whole, whole},

		{"a name in upper case", fields(":status", "200", "X-Upper", "1"), upstream.KindMalformed, whole},
		{"a name with a line end", fields(":status", "200", "x\r\nset-cookie: evil", "1"), upstream.KindMalformed, whole},
		{"a name with a space", fields(":status", "200", "x y", "1"), upstream.KindMalformed, whole},
		{"an empty name", fields(":status", "200", "", "1"), upstream.KindMalformed, whole},
		{"a value with a line end", fields(":status", "200", "x", "a\r\nset-cookie: evil=1"), upstream.KindMalformed, whole},
		{"a value with a bare CR", fields(":status", "200", "x", "a\rb"), upstream.KindMalformed, whole},
		{"a value with a NUL", fields(":status", "200", "x", "a\x00b"), upstream.KindMalformed, whole},
		{"a value with an escape", fields(":status", "200", "x", "a\x1b[31mb"), upstream.KindMalformed, whole},
		{"connection-specific fields", fields(":status", "200", "transfer-encoding", "chunked", "connection", "close", "keep-alive", "1", "upgrade", "h2c"), whole, whole},

		{"a header too large", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			for i := range 140 {
				c.Do(func(f *http2.Framer) error {
					block := c.Block("x-a"+strconv.Itoa(i), large)
					if i == 0 {
						return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: append(c.Block(":status", "200"), block...)})
					}
					return f.WriteContinuation(stream, i == 139, block)
				})
			}
		}, upstream.KindHeaderTooLarge, whole},
		{"an endless header", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.Block(":status", "200")})
			})
			for c.Do(func(f *http2.Framer) error { return f.WriteContinuation(stream, false, c.Block("x", large)) }) {
			}
		}, upstream.KindMalformed, whole},
		{"an endless header of empty frames", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Do(func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.Block(":status", "200")})
			})
			for c.Do(func(f *http2.Framer) error { return f.WriteContinuation(stream, false, nil) }) {
			}
		}, upstream.KindMalformed, whole},
		{"endless interim responses", endless(func(c *upstreamtest.HTTP2Conn, stream uint32) bool {
			return c.Fields(stream, false, ":status", "103", "link", large)
		}), upstream.KindHeaderTooLarge, whole},
		{"100 without an end", endless(func(c *upstreamtest.HTTP2Conn, stream uint32) bool {
			return c.Fields(stream, false, ":status", "100")
		}), upstream.KindHeaderTooLarge, whole},
		{"a trailer too large", after(func(c *upstreamtest.HTTP2Conn, stream uint32) {
			all := make([]string, 0, 400)
			for range 140 {
				all = append(all, "x-t", large)
			}
			for block, first := c.Block(all...), true; len(block) > 0; first = false {
				n := min(len(block), 16000)
				c.Do(func(f *http2.Framer) error {
					if first {
						return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:n], EndStream: true})
					}
					return f.WriteContinuation(stream, n == len(block), block[:n])
				})
				block = block[n:]
			}
		}), whole, upstream.KindTruncated},
		{"a trailer with a pseudo-header field", after(func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, true, ":status", "500") }), whole, upstream.KindMalformed},
		{"a trailer without the end of the stream", after(func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream, false, "x-t", "1") }), whole, upstream.KindMalformed},
		{"two headers", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "200")
			c.Fields(stream, false, ":status", "200")
		}, upstream.KindMalformed, upstream.KindMalformed},
		{"a body before the header", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Data(stream, false, event) }, upstream.KindMalformed, whole},
		{"frames after the end", after(func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Data(stream, true, "")
			c.Data(stream, false, event)
			c.Fields(stream, false, ":status", "200")
		}), whole, whole},
		{"endless empty frames", after(endless(func(c *upstreamtest.HTTP2Conn, stream uint32) bool { return c.Data(stream, false, "") })), whole, upstream.KindMalformed},
		{"endless padding", after(endless(func(c *upstreamtest.HTTP2Conn, stream uint32) bool {
			return c.Do(func(f *http2.Framer) error { return f.WriteDataPadded(stream, false, nil, make([]byte, 255)) })
		})), whole, upstream.KindMalformed},
		{"a malformed header block", frame(func(f *http2.Framer, stream uint32) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}), upstream.KindMalformed, whole},
		{"a response on an idle stream", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream+100, false, ":status", "200") }, upstream.KindMalformed, whole},
		{"a response on a stream of the server", func(c *upstreamtest.HTTP2Conn, stream uint32) { c.Fields(stream+1, false, ":status", "200") }, upstream.KindMalformed, whole},
		{"a PUSH_PROMISE", frame(func(f *http2.Framer, stream uint32) error {
			return f.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, EndHeaders: true})
		}), upstream.KindMalformed, whole},
		{"a frame that exceeds the limit", frame(func(f *http2.Framer, stream uint32) error { return f.WriteData(stream, false, make([]byte, 1<<20)) }), upstream.KindMalformed, whole},
		{"a window update of zero", after(frame(func(f *http2.Framer, stream uint32) error { return f.WriteWindowUpdate(stream, 0) })), whole, upstream.KindMalformed},
		{"windows that overflow", after(func(c *upstreamtest.HTTP2Conn, stream uint32) {
			for range 2 {
				c.Do(func(f *http2.Framer) error { return f.WriteWindowUpdate(stream, 1<<31-1) })
			}
		}), whole, upstream.KindMalformed},
		{"windows of the connection that overflow", after(func(c *upstreamtest.HTTP2Conn, _ uint32) {
			for range 2 {
				c.Do(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1) })
			}
		}), whole, upstream.KindMalformed},
		{"a setting that overflows", after(func(c *upstreamtest.HTTP2Conn, _ uint32) {
			c.Do(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			})
		}), whole, upstream.KindMalformed},
		{"endless settings", after(endless(func(c *upstreamtest.HTTP2Conn, _ uint32) bool {
			return c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		})), whole, upstream.KindMalformed},
		{"PINGs without an end", after(endless(func(c *upstreamtest.HTTP2Conn, _ uint32) bool {
			return c.Do(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
		})), whole, upstream.KindMalformed},
		{"endless unknown frames", after(endless(func(c *upstreamtest.HTTP2Conn, _ uint32) bool {
			return c.Do(func(f *http2.Framer) error { return f.WriteRawFrame(0xbe, 0, 0, nil) })
		})), whole, upstream.KindMalformed},
		{"a rejection, and a reset of the request", func(c *upstreamtest.HTTP2Conn, stream uint32) {
			c.Fields(stream, false, ":status", "413")
			c.Data(stream, true, event)
			c.Do(func(f *http2.Framer) error { return f.WriteRSTStream(stream, 0) })
		}, whole, whole},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, serveHostile(t, nil, test.answer))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			resp, err := up.Send(ctx, &upstream.Request{Target: "/v1/x"})
			late := err == nil
			if late {
				for name := range resp.Header {
					if name == "Connection" || name == "Transfer-Encoding" || name == "Upgrade" || name == "Keep-Alive" {
						t.Errorf("got forbidden header %s", name)
					}
				}
				if len(resp.Header["Content-Length"]) > 1 {
					t.Errorf("got Content-Length %q", resp.Header["Content-Length"])
				}
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			kind := whole
			if failure, ok := errors.AsType[*upstream.Error](err); ok {
				kind = failure.Kind
			} else if err != nil {
				t.Fatalf("got %v", err)
			}
			want := test.early
			if late && test.late != whole || test.early == whole {
				want = test.late // early data may be received before the request ends
			}
			if kind != want || !late && test.early == whole {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error %v quotes received data", err)
			}
			getOK(t, up)
			closes(t, up)
		})
	}
}

// No request can succeed on these connections.
func TestHTTP2Hostile_EndsRequestsOnConnectionsThatNeverWork(t *testing.T) {
	t.Parallel()
	setting := func(id http2.SettingID, value uint32) func(*upstreamtest.HTTP2Conn) {
		return func(c *upstreamtest.HTTP2Conn) {
			c.Do(func(f *http2.Framer) error { return f.WriteSettings(http2.Setting{ID: id, Val: value}) })
		}
	}
	for _, test := range []struct {
		name    string
		opening func(*upstreamtest.HTTP2Conn)
		kind    upstream.Kind
		dials   int64 // of one call
	}{
		{"GOAWAY at once", func(c *upstreamtest.HTTP2Conn) {
			c.Do(func(f *http2.Framer) error { _ = f.WriteSettings(); return f.WriteGoAway(0, 0, nil) })
		}, upstream.KindClosed, 3},
		{"no stream is allowed", setting(http2.SettingMaxConcurrentStreams, 0), upstream.KindClosed, 3},
		{"a window that exceeds the maximum", setting(http2.SettingInitialWindowSize, 1<<31), upstream.KindMalformed, 1},
		{"frames of one byte", setting(http2.SettingMaxFrameSize, 1), upstream.KindMalformed, 1},
		{"a PING before the settings", func(c *upstreamtest.HTTP2Conn) {
			c.Do(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
		}, upstream.KindMalformed, 1},
		{"HTTP/1.1", func(c *upstreamtest.HTTP2Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, upstream.KindMalformed, 1},
		{"the end", func(c *upstreamtest.HTTP2Conn) { c.Close() }, upstream.KindConnect, 1},
		{"nothing", func(*upstreamtest.HTTP2Conn) {}, upstream.KindConnect, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := serveHostile(t, test.opening, nil)
			if test.name == "nothing" {
				config.ConnectTimeout = 500 * time.Millisecond
			}
			var dials atomic.Int64
			config.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			up := newUpstream(t, config)
			for call := range int64(3) {
				_, err := up.Send(t.Context(), &upstream.Request{Method: http.MethodPost, Target: "/v1/x", Body: strings.NewReader("body"), ContentLength: 4})
				failure, ok := errors.AsType[*upstream.Error](err)
				if !ok || failure.Kind != test.kind && failure.Kind != upstream.KindClosed {
					t.Errorf("got %v", err)
				}
				if got := dials.Load(); got > (call+1)*test.dials+2 || got > (call+1)*3 {
					t.Errorf("%d requests: got %d dials", call+1, got)
				}
			}
			closes(t, up)
		})
	}
}

// The upstream becomes ready again with the first response.
func TestHTTP2Ready_FailsWhileNoConnectionWorks(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	up := newUpstream(t, serveHostile(t, func(c *upstreamtest.HTTP2Conn) {
		value := uint32(1 << 31)
		if works.Load() {
			value = 65535
		}
		c.Do(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: value})
		})
	}, nil))
	if err := up.Ready(); err != nil {
		t.Errorf("before any request: got %v, want nil", err)
	}
	for range 3 {
		if _, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/ok"}); err == nil {
			t.Fatal("got a response, want an error")
		}
	}
	if err := up.Ready(); err == nil || !strings.Contains(err.Error(), "FLOW_CONTROL_ERROR") {
		t.Errorf("after three failed connections: got %v", err)
	}
	works.Store(true)
	getOK(t, up)
	if err := up.Ready(); err != nil {
		t.Errorf("after a response: got %v, want nil", err)
	}
}

// The peers read nothing or send nothing.
func TestHTTP2Hostile_TimesOutOnSilence(t *testing.T) {
	t.Parallel()
	const soon = 200 * time.Millisecond
	for _, test := range []struct {
		name    string
		opening func(*upstreamtest.HTTP2Conn)
		answer  hostile
		config  func(*upstream.Config)
		body    int
		kind    upstream.Kind
	}{
		{"a window that never opens", func(c *upstreamtest.HTTP2Conn) {
			c.Closed = true
			c.Do(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			})
		}, nil, func(c *upstream.Config) { *c = c.WithStallTimeout(soon) }, 100, upstream.KindTimeout},
		{"a connection window that never opens again", func(c *upstreamtest.HTTP2Conn) {
			c.Closed = true
			c.Do(func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
			})
		}, nil, func(c *upstream.Config) { *c = c.WithStallTimeout(soon) }, 1 << 20, upstream.KindTimeout},
		{"no response", nil, func(*upstreamtest.HTTP2Conn, uint32) {}, func(c *upstream.Config) { c.ResponseHeaderTimeout = soon }, 100, upstream.KindTimeout},
		{"no response to a PING", func(c *upstreamtest.HTTP2Conn) {
			c.Silent = true
			c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		}, func(*upstreamtest.HTTP2Conn, uint32) {}, func(c *upstream.Config) { *c = c.WithKeepAlive(soon) }, 100, upstream.KindClosed},
		{"no response to a PING during the body", func(c *upstreamtest.HTTP2Conn) {
			c.Silent = true
			c.Do(func(f *http2.Framer) error { return f.WriteSettings() })
		}, after(func(*upstreamtest.HTTP2Conn, uint32) {}), func(c *upstream.Config) { *c = c.WithKeepAlive(soon) }, 100, upstream.KindTruncated},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := serveHostile(t, test.opening, test.answer)
			test.config(&config)
			up := newUpstream(t, config)
			resp, err := up.Send(t.Context(), &upstream.Request{
				Method: http.MethodPost, Target: "/v1/x", Body: strings.NewReader(strings.Repeat("x", test.body)), ContentLength: int64(test.body),
			})
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if failure, ok := errors.AsType[*upstream.Error](err); !ok || failure.Kind != test.kind {
				t.Errorf("got %v", err)
			}
			closes(t, up)
		})
	}
}

// The upstream allows one stream per connection, so that each concurrent request has its own
// connection.
func TestHTTP2Idle_IsBoundedByMaxIdleConns(t *testing.T) {
	t.Parallel()
	const calls, kept = 8, 3
	arrived, finish := make(chan struct{}, calls), make(chan struct{})
	config := serveHostile(t, func(c *upstreamtest.HTTP2Conn) {
		c.Do(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		})
	}, func(c *upstreamtest.HTTP2Conn, stream uint32) {
		arrived <- struct{}{}
		<-finish
		c.Fields(stream, true, ":status", "200")
	})
	up := newUpstream(t, config.WithMaxIdleConns(kept))
	errs := make(chan error, calls)
	for range calls {
		go func() {
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			errs <- err
		}()
	}
	for range calls {
		await(t, arrived, "the request")
	}
	if got := up.Stats().Active; got != calls {
		t.Errorf("got %d open connections, want %d", got, calls)
	}
	close(finish)
	for range calls {
		if err := await(t, errs, "the answer"); err != nil {
			t.Error(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); up.Stats().Active != kept; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d connections, want %d", up.Stats().Active, kept)
		}
	}
	closes(t, up)
}

// A request is canceled whose upstream sends endless frames, and continues to do so.
func TestHTTP2Hostile_ServesRequestsAfterAnAbortedFlood(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"100", "103"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t, serveHostile(t, nil, func(c *upstreamtest.HTTP2Conn, stream uint32) {
				c.Fields(stream, false, ":status", "103")
				endless(func(c *upstreamtest.HTTP2Conn, stream uint32) bool {
					return c.Fields(stream, false, ":status", status)
				})(c, stream)
			}))
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				told := 0
				_, err := up.Send(ctx, &upstream.Request{Target: "/v1/x", Interim: func(int, http.Header) {
					if told++; told == 30 || status == "100" {
						cancel()
					}
				}})
				cancel()
				if err == nil {
					t.Fatal("got a response, want an error")
				}
				for range 20 {
					getOK(t, up)
				}
			}
			closes(t, up)
		})
	}
}
