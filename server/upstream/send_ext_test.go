package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

func TestHTTP1_SendsTheRequestUnchanged(t *testing.T) {
	t.Parallel()
	requests := make(chan upstreamtest.Request, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			requests <- request
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	host := "Host: " + strings.TrimPrefix(url, "http://")
	up := newUpstream(t, upstream.Config{BaseURL: url})

	trailer := http.Header{"X-Sum": nil}
	for _, test := range []struct {
		name    string
		request upstream.Request
		line    string
		fields  []string // sorted, without Host
		body    string
		trailer []string
	}{
		{
			name:    "an empty request has no headers",
			request: upstream.Request{Target: "/v1/models"},
			line:    "GET /v1/models HTTP/1.1",
		},
		{
			name: "headers keep their values, repetitions and order",
			request: upstream.Request{Target: "/v1/x", Header: http.Header{
				"X-Twice": {"b", "a"}, "X-Empty": {""}, "User-Agent": {"sdk/1"}, "Accept-Encoding": {"br"},
			}},
			line:   "GET /v1/x HTTP/1.1",
			fields: []string{"Accept-Encoding: br", "User-Agent: sdk/1", "X-Empty: ", "X-Twice: b", "X-Twice: a"},
		},
		{
			name: "host and framing follow from the request, not from its headers",
			request: upstream.Request{Method: "POST", Target: "/v1/x", Body: bytes.NewReader([]byte("four")), Header: http.Header{
				"Host": {"evil.example"}, "Content-Length": {"9"}, "Transfer-Encoding": {"chunked"},
			}},
			line:   "POST /v1/x HTTP/1.1",
			fields: []string{"Content-Length: 4"},
			body:   "four",
		},
		{
			name:    "an unknown method",
			request: upstream.Request{Method: "brew", Target: "/v1/x"},
			line:    "brew /v1/x HTTP/1.1",
		},
		{
			name:    "a body of known length",
			request: upstream.Request{Method: "PUT", Target: "/v1/x", Body: strings.NewReader("abc"), ContentLength: 3},
			line:    "PUT /v1/x HTTP/1.1",
			fields:  []string{"Content-Length: 3"},
			body:    "abc",
		},
		{
			name:    "a body of unknown length, with a trailer",
			request: upstream.Request{Method: "POST", Target: "/v1/x", Body: &setAtEOF{strings.NewReader("abc"), trailer}, ContentLength: -1, Trailer: trailer},
			line:    "POST /v1/x HTTP/1.1",
			fields:  []string{"Trailer: X-Sum", "Transfer-Encoding: chunked"},
			body:    "abc",
			trailer: []string{"X-Sum: 7"},
		},
		{
			name:    "an empty body of unknown length with a method that usually has none",
			request: upstream.Request{Method: "GET", Target: "/v1/x", Body: strings.NewReader(""), ContentLength: -1},
			line:    "GET /v1/x HTTP/1.1",
			fields:  []string{"Transfer-Encoding: chunked"},
		},
		{
			name:    "no body with a method that requires a length",
			request: upstream.Request{Method: "POST", Target: "/v1/x"},
			line:    "POST /v1/x HTTP/1.1",
			fields:  []string{"Content-Length: 0"},
		},
		{
			name:    "no body with a Content-Length of zero",
			request: upstream.Request{Method: "DELETE", Target: "/v1/x", Header: http.Header{"Content-Length": {"0"}}},
			line:    "DELETE /v1/x HTTP/1.1",
			fields:  []string{"Content-Length: 0"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			discard(t, up, &test.request)
			got := <-requests
			if got.Line != test.line {
				t.Errorf("request line %q, want %q", got.Line, test.line)
			}
			slices.SortStableFunc(got.Fields, func(a, b string) int {
				nameA, _, _ := strings.Cut(a, ":")
				nameB, _, _ := strings.Cut(b, ":")
				return strings.Compare(nameA, nameB)
			})
			want := append([]string{host}, test.fields...)
			slices.SortStableFunc(want, func(a, b string) int {
				nameA, _, _ := strings.Cut(a, ":")
				nameB, _, _ := strings.Cut(b, ":")
				return strings.Compare(nameA, nameB)
			})
			if !slices.Equal(got.Fields, want) {
				t.Errorf("fields %q, want %q", got.Fields, want)
			}
			if got.Body != test.body {
				t.Errorf("body %q, want %q", got.Body, test.body)
			}
			if !slices.Equal(got.Trailer, test.trailer) {
				t.Errorf("trailer %q, want %q", got.Trailer, test.trailer)
			}
		})
	}
}

// setAtEOF sets a trailer at the end of the body, as a server does.
type setAtEOF struct {
	io.Reader

	trailer http.Header
}

func (r *setAtEOF) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		r.trailer["X-Sum"] = []string{"7"}
	}
	return n, err
}

func TestHTTP1_ReturnsTheResponseUnchanged(t *testing.T) {
	t.Parallel()
	const gzipped = "\x1f\x8b not really"
	for _, test := range []struct {
		name, answer string
		status       int
		field, value string
		body         string
	}{
		{"gzip is not decompressed", "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 13\n\n" + gzipped[:13], 200, "Content-Encoding", "gzip", gzipped[:13]},
		{"an unknown status", "HTTP/1.1 799 Odd\nX-A: b\nContent-Length: 2\n\nhi", 799, "X-A", "b", "hi"},
		{"a body that ends with the connection", "HTTP/1.0 200 OK\nX-A: b\n\nhi", 200, "X-A", "b", "hi"},
		{"a large header", "HTTP/1.1 200 OK\nX-A: " + strings.Repeat("v", 900<<10) + "\nContent-Length: 0\n\n", 200, "X-A", strings.Repeat("v", 900<<10), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					conn.Send(test.answer)
				}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url})
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || resp.Header.Get(test.field) != test.value || string(body) != test.body {
				t.Errorf("got %d, %s of %d bytes, body %q", resp.StatusCode, test.field, len(resp.Header.Get(test.field)), body)
			}
		})
	}
}

func TestSend_StoresNoCookies(t *testing.T) {
	t.Parallel()
	heads := make(chan upstreamtest.Head, 2)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			heads <- request.Head
			conn.Send("HTTP/1.1 204 No Content\nSet-Cookie: a=b\n\n")
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	for range 2 {
		discard(t, up, &upstream.Request{Target: "/v1/x"})
		if head := <-heads; head.Value("Cookie") != "" {
			t.Errorf("sent %q", head.Fields)
		}
	}
}

func TestHTTP1_ReportsInterimResponses(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send("HTTP/1.1 100 Continue\n\n" +
				"HTTP/1.1 103 Early Hints\nLink: </a>\n\n" +
				"HTTP/1.1 103 Early Hints\nLink: </b>\n\n" +
				"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	var got []string
	resp := discard(t, up, &upstream.Request{
		Target: "/v1/x",
		Interim: func(status int, header http.Header) {
			got = append(got, http.StatusText(status)+header.Get("Link"))
		},
	})
	if want := []string{"Early Hints</a>", "Early Hints</b>"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("final status %d", resp.StatusCode)
	}
}

func TestHTTP1Reuse_KeepsConnectionsBetweenRequests(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		connections.Add(1)
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	for range 20 {
		resp, err := up.Send(t.Context(), &upstream.Request{Method: "POST", Target: "/v1/x", Body: bytes.NewReader([]byte("{}"))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("got %d connections for 20 requests, want 1", got)
	}
}

// The upstream closes each connection after its response without announcing it. The complete
// request is sent again.
func TestHTTP1Retry_ResendsTheWholeRequestAfterASilentClose(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		request, err := conn.ReadRequest()
		if err != nil {
			return
		}
		bodies <- request.Body
		conn.Send("HTTP/1.1 204 No Content\n\n")
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	for range 50 {
		discard(t, up, &upstream.Request{Method: "GET", Target: "/v1/x", Body: bytes.NewReader([]byte("the body"))})
		if got := <-bodies; got != "the body" {
			t.Fatalf("the upstream received body %q", got)
		}
	}
}

func TestSend_ClosesTheRequestBody(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	for _, test := range []struct{ name, target string }{
		{"after sending", "/v1/x"},
		{"when nothing was sent", "no target"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			resp, err := up.Send(t.Context(), &upstream.Request{
				Method: "POST", Target: test.target, ContentLength: -1,
				Body: &closeTeller{strings.NewReader("abc"), closed},
			})
			if err == nil {
				resp.Body.Close()
			}
			await(t, closed, "the body to be closed")
		})
	}
}

type closeTeller struct {
	io.Reader

	closed chan struct{}
}

func (c *closeTeller) Close() error {
	close(c.closed)
	return nil
}

func TestHTTP1_SwitchesProtocols(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		head, err := conn.ReadHead()
		if err != nil {
			return
		}
		conn.Send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: " + head.Value("Upgrade") + "\n\n")
		io.Copy(conn, conn.Reader) // an echo until either side ends
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	resp, err := up.Send(t.Context(), &upstream.Request{
		Target: "/v1/realtime",
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("got a body of type %T, want an io.ReadWriteCloser", resp.Body)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 4)
	if _, err := io.ReadFull(conn, echo); err != nil || string(echo) != "ping" {
		t.Errorf("got %q, %v", echo, err)
	}
}

func TestHTTP2_IsNegotiatedOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, r.Proto+" "+r.UserAgent()+" "+string(body)) // shows at the other end
		w.Header().Set("X-Sum", r.Trailer.Get("X-Up"))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	up := newUpstream(t, upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)})
	interim := 0
	trailer := http.Header{"X-Up": {"7"}}
	resp, err := up.Send(t.Context(), &upstream.Request{
		Method: "POST", Target: "/v1/x", Body: strings.NewReader("abc"), ContentLength: -1, Trailer: trailer,
		Interim: func(int, http.Header) { interim++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := "HTTP/2.0  abc"; string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
	if interim != 1 || resp.Trailer.Get("X-Sum") != "7" {
		t.Errorf("got %d interim responses and trailer %v", interim, resp.Trailer)
	}
}

// A dead peer of a silent stream is detected.
func TestHTTP2_DetectsADeadPeer(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	vanished := make(chan struct{})
	up := newUpstream(t, upstream.Config{
		BaseURL: server.URL,
		HTTP2:   true,
		RootCAs: rootsOf(server),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &vanishingConn{Conn: conn, vanished: vanished}, err
		},
	}.WithKeepAlive(100*time.Millisecond))
	resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	close(vanished)
	_, err = resp.Body.Read(make([]byte, 1))
	if cause, ok := errors.AsType[*upstream.Error](err); !ok || cause.Kind != upstream.KindTruncated {
		t.Errorf("got error %v, want KindTruncated", err)
	}
}

// vanishingConn discards written data after its peer has vanished.
type vanishingConn struct {
	net.Conn

	vanished <-chan struct{}
}

func (c *vanishingConn) Write(p []byte) (int, error) {
	select {
	case <-c.vanished:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}
