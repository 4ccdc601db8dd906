package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The tests in this file test net/http, crypto/tls and net themselves. Each one covers
// an undocumented behavior that this server depends on. One that fails after an update
// of Go names the file to review.

// assumptionTimeout bounds waits for events that are expected to happen.
const assumptionTimeout = 10 * time.Second

// changedf reports that an assumption no longer holds.
func changedf(t *testing.T, file, format string, args ...any) {
	t.Helper()
	t.Errorf("net/http changed: %s, see %s", fmt.Sprintf(format, args...), file)
}

// startPlain starts a plain [http.Server] that also speaks HTTP/2 without TLS.
func startPlain(t *testing.T, server *http.Server, handler http.HandlerFunc) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Handler = handler
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return listener.Addr().String()
}

// dial opens a connection and sends text.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(assumptionTimeout))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// exchange sends an HTTP/1 request and returns all that the server sends until it closes
// the connection.
func exchange(t *testing.T, address, text string) (response string, err error) {
	t.Helper()
	received, err := io.ReadAll(dial(t, address, text))
	return string(received), err
}

// http2Client is a client of an HTTP/2 connection that reads and writes single frames.
type http2Client struct {
	*http2.Framer

	t      *testing.T
	fields bytes.Buffer
	encode *hpack.Encoder
}

func dialHTTP2(t *testing.T, address string) *http2Client {
	t.Helper()
	conn := dial(t, address, http2.ClientPreface)
	c := &http2Client{Framer: http2.NewFramer(conn, conn), t: t}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encode = hpack.NewEncoder(&c.fields)
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a request without a body on stream 1, with additional fields, given as names
// and values.
func (c *http2Client) send(fields ...string) {
	c.t.Helper()
	c.fields.Reset()
	fields = append([]string{":method", "POST", ":scheme", "http", ":authority", "host", ":path", "/"}, fields...)
	for i := 0; i < len(fields); i += 2 {
		_ = c.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		c.t.Fatal(err)
	}
}

// until reads frames until one satisfies found. It returns false if the connection ends
// first.
func (c *http2Client) until(found func(frame http2.Frame) bool) bool {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return false
		}
		if found(frame) {
			return true
		}
	}
}

func isStatus(frame http2.Frame, status string) bool {
	headers, ok := frame.(*http2.MetaHeadersFrame)
	return ok && headers.PseudoValue("status") == status
}

// receive waits for a value.
func receive[T any](t *testing.T, values <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-values:
	case <-time.After(assumptionTimeout):
		t.Error("nothing happened in time")
	}
	return value
}

func TestNetHTTP_TLSNextProtoServesHTTP2OfAnotherServer(t *testing.T) {
	t.Parallel()
	const file = "drain.go (detachHTTP2)"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, release := make(chan struct{}), make(chan struct{})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	type key struct{}
	first := &http.Server{
		Protocols: protocols,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Context().Value(key{}) == nil {
				changedf(t, file, "the ConnContext of the first server no longer reaches HTTP/2 requests")
			}
			close(serving)
			<-release
		}),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "value") },
	}
	second := &http.Server{Protocols: protocols}
	if err := second.Serve(closedListener{}); !errors.Is(err, net.ErrClosed) {
		changedf(t, file, "Serve on a closed listener returns %v", err)
	}
	if second.TLSNextProto["h2"] == nil || second.TLSNextProto["unencrypted_http2"] == nil {
		changedf(t, file, "Serve no longer fills TLSNextProto with h2 and unencrypted_http2: %v", second.TLSNextProto)
		return
	}
	first.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	for protocol, serve := range second.TLSNextProto {
		first.TLSNextProto[protocol] = func(_ *http.Server, conn *tls.Conn, handler http.Handler) { serve(second, conn, handler) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = first.Serve(listener)
	}()
	defer func() {
		first.Close()
		<-done
	}()
	client := dialHTTP2(t, listener.Addr().String())
	client.send()
	receive(t, serving)
	returned := make(chan error, 1)
	go func() { returned <- second.Shutdown(context.Background()) }()
	if err := receive(t, returned); err != nil {
		changedf(t, file, "Shutdown of the second server returns %v", err)
	}
	if !client.until(func(frame http2.Frame) bool { _, ok := frame.(*http2.GoAwayFrame); return ok }) {
		changedf(t, file, "Shutdown of the second server sends no GOAWAY")
	}
	close(release)
	if !client.until(func(frame http2.Frame) bool { return isStatus(frame, "200") }) {
		changedf(t, file, "a request in progress does not survive GOAWAY")
	}
}

func TestNetHTTP_ConnectionCloseSendsGoAway(t *testing.T) {
	t.Parallel()
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	client := dialHTTP2(t, address)
	client.send()
	if !client.until(func(frame http2.Frame) bool { _, ok := frame.(*http2.GoAwayFrame); return ok }) {
		changedf(t, "drain.go (advertiseClose)", "an HTTP/2 response with Connection: close sends no GOAWAY")
	}
}

func TestNetHTTP_ExceededMaxBytesReaderClosesAfterResponse(t *testing.T) {
	t.Parallel()
	const file = "passthrough/downstream.go (closeIfUploading)"
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Connection", "close")
		_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
		_, _ = io.WriteString(w, "early")
	})
	conn := dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbody")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "early" || !response.Close {
		changedf(t, file, "the response is %q, %v, with close: %v", body, err, response.Close)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // exactly EOF
		changedf(t, file, "after the response, the client reads %v", err)
	}
	if _, err := io.WriteString(conn, "more of the body"); err != nil {
		changedf(t, file, "the client can't send while it reads the response: %v", err)
	}
}

func TestNet_LingerZeroResets(t *testing.T) {
	t.Parallel()
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	})
	if _, err := exchange(t, address, "GET / HTTP/1.0\r\n\r\n"); !errors.Is(err, syscall.ECONNRESET) {
		changedf(t, "../httpx/httpx.go (Reset) and conn.go (reset)", "closing after SetLinger(0) gives the client %v", err)
	}
}

func TestNetHTTP_AbortedHTTP10ResponseEndsCleanly(t *testing.T) {
	t.Parallel()
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if response, err := exchange(t, address, "GET / HTTP/1.0\r\n\r\n"); err != nil || !strings.HasSuffix(response, "half") {
		changedf(t, "http10_truncation.go (no longer needed?)", "an aborted HTTP/1.0 response ends with %v", err)
	}
}

func TestNetHTTP_AddsLengthToShortResponses(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]bool{netHTTPBuffer: true, netHTTPBuffer + 1: false} {
		address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, size))
		})
		response, err := exchange(t, address, "GET / HTTP/1.0\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(response, "Content-Length: "); got != want {
			changedf(t, "http10_truncation.go (netHTTPBuffer)", "a response of %d bytes has a Content-Length: %v", size, got)
		}
	}
}

func TestNetHTTP_HidesFramingFields(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		requests <- r
	})
	for _, row := range []struct {
		name, request, file, want string
	}{
		{
			"Transfer-Encoding of HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
			"request_smuggling.go (strictFraming)", "[] [] []",
		},
		{
			"Content-Length beside Transfer-Encoding", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"content_length.go (lengthScanner)", "[] [] [chunked]",
		},
		{
			"Content-Length alone", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
			"content_length.go (mayHaveBoth)", "[0] [] []",
		},
	} {
		if _, err := exchange(t, address, row.request); err != nil {
			t.Fatal(err)
		}
		r := receive(t, requests)
		if got := fmt.Sprint(r.Header["Content-Length"], r.Header["Transfer-Encoding"], r.TransferEncoding); got != row.want {
			changedf(t, row.file, "%s: the handler sees %s, not %s", row.name, got, row.want)
		}
	}
}

// If a handler replaces the body of its request, net/http may take the unread rest of a
// closed body for the next request.
func TestNetHTTP_InspectsTypeOfRequestBody(t *testing.T) {
	t.Parallel()
	for _, inCopy := range []bool{false, true} {
		smuggled := make(chan struct{}, 1)
		address := startPlain(t, new(http.Server), func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/smuggled" {
				w.Header().Set("Connection", "close")
				smuggled <- struct{}{}
				return
			}
			if inCopy {
				r = r.WithContext(r.Context())
			}
			r.Body = struct{ io.ReadCloser }{r.Body}
			_ = r.Body.Close()
		})
		_, _ = exchange(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := len(smuggled) == 1; got == inCopy {
			changedf(t, "client_timeout_http1.go (limitBody)", "with the body replaced in a copy: %v, its rest is the next request: %v", inCopy, got)
		}
	}
}

func TestNetHTTP_RejectsSpaceBeforeColon(t *testing.T) {
	t.Parallel()
	address := startPlain(t, new(http.Server), func(http.ResponseWriter, *http.Request) {})
	response, err := exchange(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\nConnection: close\r\n\r\n")
	if err != nil || !strings.HasPrefix(response, "HTTP/1.1 400 ") {
		changedf(t, "content_length.go (lengthPrefix)", "a space before the colon of a field gives %.40q", response)
	}
}

func TestNetHTTP_AcceptsAmbiguousHTTP2Lengths(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]string{
		"two lengths":             {"content-length", "3", "content-length", "4"},
		"a length without a body": {"content-length", "3"},
	} {
		served := make(chan struct{}, 1)
		address := startPlain(t, new(http.Server), func(http.ResponseWriter, *http.Request) { served <- struct{}{} })
		client := dialHTTP2(t, address)
		client.send(fields...)
		if !client.until(func(frame http2.Frame) bool { return isStatus(frame, "200") }) || len(served) != 1 {
			changedf(t, "request_smuggling.go (strictFraming)", "HTTP/2 requests with %s are rejected now", name)
		}
	}
}

func TestNetHTTP_InterimResponseHasNoLength(t *testing.T) {
	t.Parallel()
	const file = "passthrough/downstream.go (writeInterim)"
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = []string{"5"}
		w.Header().Set("X-Interim", "yes")
		w.WriteHeader(http.StatusEarlyHints)
		if w.Header().Get("Content-Length") != "5" || w.Header().Get("X-Interim") != "yes" {
			changedf(t, file, "writing an interim response changes the header map: %v", w.Header())
		}
		delete(w.Header(), "X-Interim")
		_, _ = io.WriteString(w, "final")
	})
	client := dialHTTP2(t, address)
	client.send()
	var names [2][]string
	for i, status := range []string{"103", "200"} {
		if !client.until(func(frame http2.Frame) bool {
			if !isStatus(frame, status) {
				return false
			}
			for _, field := range frame.(*http2.MetaHeadersFrame).RegularFields() {
				names[i] = append(names[i], field.Name)
			}
			return true
		}) {
			t.Fatalf("no response with status %s", status)
		}
	}
	// net/http copies a map that has a Content-Length, which keeps the map free for the
	// handler while the interim response is encoded.
	if slices.Contains(names[0], "content-length") || !slices.Contains(names[0], "x-interim") || !slices.Contains(names[1], "content-length") {
		changedf(t, file, "an interim response has the fields %q, and the final one %q", names[0], names[1])
	}
}

func TestNetHTTP_NilValueSuppressesField(t *testing.T) {
	t.Parallel()
	const file = "passthrough/passthrough.go (responseHeader)"
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
			w.Header()[name] = nil
		}
		if r.URL.Path == "/304" {
			w.Header()["content-length"], w.Header()["content-type"] = []string{"7"}, []string{"text/plain"}
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "text")
	})
	response, err := exchange(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err != nil || strings.Contains(response, "Content-") || strings.Contains(response, "Date:") {
		changedf(t, file, "a nil value does not suppress a field: %q, %v", response, err)
	}
	response, err = exchange(t, address, "GET /304 HTTP/1.1\r\nHost: x\r\n\r\n")
	if err != nil || !strings.Contains(response, "content-length: 7") || !strings.Contains(response, "content-type: text/plain") {
		changedf(t, file, "lower-case fields of a 304 are removed or changed: %q, %v", response, err)
	}
}

func TestNetHTTP_HTTP2DeadlineCanBeExtended(t *testing.T) {
	t.Parallel()
	const file = "client_timeout.go (clientTimeouts)"
	address := startPlain(t, &http.Server{WriteTimeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Extend") != "" {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(forever))
		}
		time.Sleep(150 * time.Millisecond)
	})
	for extend, want := range map[string]bool{"yes": true, "": false} {
		client := dialHTTP2(t, address)
		client.send("x-extend", extend)
		got := false
		client.until(func(frame http2.Frame) bool {
			got = isStatus(frame, "200")
			_, isReset := frame.(*http2.RSTStreamFrame)
			return got || isReset
		})
		if got != want {
			changedf(t, file, "with extend=%q, the response arrives: %v", extend, got)
		}
	}
}

func TestNetHTTP_UnreadHTTP2ResponseHasDeadline(t *testing.T) {
	t.Parallel()
	const file = "unread_responses.go (limitUnread)"
	ended := make(chan (<-chan bool), 1)
	address := startPlain(t, new(http.Server), func(w http.ResponseWriter, _ *http.Request) {
		// It fits into the buffers of net/http, but not into the window of the client.
		_, _ = w.Write(make([]byte, 100))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		ended <- w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // under test
	})
	client := dialHTTP2(t, address)
	if err := client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}); err != nil {
		t.Fatal(err)
	}
	client.send()
	closed := receive(t, ended)
	select {
	case <-closed:
		changedf(t, file, "CloseNotify reports the end of the handler, not of the stream")
	case <-time.After(20 * time.Millisecond):
	}
	if !client.until(func(frame http2.Frame) bool { _, ok := frame.(*http2.RSTStreamFrame); return ok }) {
		changedf(t, file, "the write deadline does not reset a stream whose handler has returned")
	}
	select {
	case <-closed:
	case <-time.After(assumptionTimeout):
		changedf(t, file, "CloseNotify does not report the end of a stream whose handler has returned")
	}
}

func TestNetHTTP_WritesHTTP2FramesSeparately(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	recorder := &writeRecorder{Listener: listener}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "event")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"Status", "0")
	}))
	server.Listener.Close()
	server.Listener = recorder
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	client := dialHTTP2(t, listener.Addr().String())
	client.send()
	client.until(func(frame http2.Frame) bool {
		headers, ok := frame.(*http2.MetaHeadersFrame)
		return ok && headers.StreamEnded()
	})
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	if recorder.responseWrites < 2 {
		changedf(t, "coalesce.go (no longer needed?)", "HEADERS, DATA and trailers are %d writes", recorder.responseWrites)
	}
}

// writeRecorder is a listener that counts the writes with frames of a stream.
type writeRecorder struct {
	net.Listener

	mu             sync.Mutex
	responseWrites int // guarded by mu
}

func (r *writeRecorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &recordedConn{conn, r}, nil
}

type recordedConn struct {
	net.Conn

	recorder *writeRecorder
}

func (c *recordedConn) Write(p []byte) (int, error) {
	const frameHeader, streamID = 9, 8
	if len(p) >= frameHeader && p[streamID] == 1 {
		c.recorder.mu.Lock()
		c.recorder.responseWrites++
		c.recorder.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func TestTLS_CloseSetsPassedWriteDeadline(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	near, far := net.Pipe()
	recorded := &deadlineRecorder{Conn: near}
	server := tls.Server(recorded, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	client := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if server.NetConn() != net.Conn(recorded) {
		changedf(t, "../httpx/httpx.go (UnwrapConn)", "NetConn no longer returns the underlying connection")
	}
	_ = server.Close()
	_ = client.Close()
	if recorded.last.IsZero() || recorded.last.After(time.Now()) {
		changedf(t, "conn.go (SetWriteDeadline)", "crypto/tls sets the write deadline %v after its last record", recorded.last)
	}
}

// deadlineRecorder records the last write deadline.
type deadlineRecorder struct {
	net.Conn

	last time.Time
}

func (c *deadlineRecorder) SetWriteDeadline(t time.Time) error {
	c.last = t
	return c.Conn.SetWriteDeadline(t)
}
