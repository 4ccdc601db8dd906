package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Upstreams close idle connections at any moment. Clients must not notice.
func TestHTTP1Reuse_SurvivesClosingIdleConnectionsUnderLoad(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		random := rand.New(rand.NewPCG(1, uint64(connections.Add(1))))
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			conn.Send(fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n%s", len(request.Body), request.Body))
			// From immediately, while the next request is being sent, to rather late.
			patience := time.Duration(random.ExpFloat64() * float64(300*time.Microsecond))
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := conn.Reader.Peek(1); err != nil {
				return
			}
			_ = conn.SetReadDeadline(time.Time{})
		}
	})
	up := newUpstream(t, upstream.Config{BaseURL: url})
	const clients, requests = 16, 150
	var running sync.WaitGroup
	for client := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(client)))
			for n := range requests {
				body := fmt.Sprintf("%d-%d-%s", client, n, strings.Repeat("x", random.IntN(8<<10)))
				req := &upstream.Request{Method: "POST", Target: "/v1/x"}
				switch random.IntN(3) {
				case 0:
					req.Method, body = "GET", ""
				case 1:
					req.Body = bytes.NewReader([]byte(body)) // as an RPC's
				default:
					req.Body, req.ContentLength = struct{ io.Reader }{strings.NewReader(body)}, int64(len(body)) // as a client's
				}
				resp, err := up.Send(t.Context(), req)
				if err != nil {
					t.Errorf("%s: %v", req.Method, err)
					continue
				}
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
					t.Errorf("got %d bytes of %d, %v", len(got), len(body), err)
				}
				resp.Body.Close()
			}
		})
	}
	running.Wait()
	t.Logf("%d requests took %d connections", clients*requests, connections.Load())
	if connections.Load() < clients*2 {
		t.Error("hardly any connections were closed")
	}
}

// Each row is the reaction of an upstream to the second request on a connection.
func TestHTTP1Retry_ResendsRequestsOnStaleConnections(t *testing.T) {
	t.Parallel()
	small := func() *upstream.Request {
		return &upstream.Request{Method: "POST", Target: "/v1/x", Body: strings.NewReader("ab"), ContentLength: 2}
	}
	streamed := func() *upstream.Request {
		return &upstream.Request{Method: "POST", Target: "/v1/x", Body: strings.NewReader(large), ContentLength: -1}
	}
	for _, test := range []struct {
		name   string
		req    func() *upstream.Request
		answer string // before the connection is closed
		times  int32  // that the second request comes
		kind   upstream.Kind
	}{
		{"nothing, with a small body", small, "", 2, 0},
		{"nothing, with a streamed body", streamed, "", 1, upstream.KindClosed},
		{"a byte of a response", small, "H", 1, upstream.KindClosed},
		{"half a header", small, "HTTP/1.1 200 OK\nContent-", 1, upstream.KindClosed},
		{"an interim response", small, "HTTP/1.1 103 Early Hints\n\n", 1, upstream.KindClosed},
		{"half a body", small, "HTTP/1.1 200 OK\nContent-Length: 9\n\nhalf", 1, upstream.KindTruncated},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var connections, times atomic.Int32
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				isFirst := connections.Add(1) == 1
				for n := 1; ; n++ {
					head, err := conn.ReadHead()
					if err != nil {
						return
					}
					if head.Target() == "/v1/x" {
						times.Add(1)
					}
					if isFirst && n == 2 {
						conn.Send(test.answer)
						return
					}
					if _, err := conn.ReadBody(head); err != nil {
						return
					}
					conn.Send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url})
			send := func(req *upstream.Request) error {
				resp, err := up.Send(t.Context(), req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				return err
			}
			if err := send(&upstream.Request{Target: "/v1/before"}); err != nil {
				t.Fatal(err)
			}
			err := send(test.req())
			var kind upstream.Kind
			if cause, ok := errors.AsType[*upstream.Error](err); ok {
				kind = cause.Kind
			}
			if kind != test.kind || (err == nil) != (test.kind == 0) {
				t.Errorf("got %v, want an error of kind %v", err, test.kind)
			}
			if got := times.Load(); got != test.times {
				t.Errorf("got %d requests, want %d", got, test.times)
			}
		})
	}
}

// Data after a response must not be taken for the next response.
func TestHTTP1Reuse_DropsConnectionsInDoubt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, answer, later string }{
		{"with an extra response", "HTTP/1.1 200 OK\nContent-Length: 2\n\nokHTTP/1.1 200 OK\nContent-Length: 4\n\nevil", ""},
		{"with an extra byte", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok!", ""},
		{"with a body after 204", "HTTP/1.1 204 No Content\nContent-Length: 4\n\nevil", ""},
		{"with an extra response, later", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\nContent-Length: 4\n\nevil"},
		{"with Connection: close", "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok", ""},
		{"of HTTP/1.0", "HTTP/1.0 200 OK\nContent-Length: 2\n\nok", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answered, said := make(chan struct{}, 1), make(chan struct{})
			var connections atomic.Int32
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				first := connections.Add(1) == 1
				for {
					if _, err := conn.ReadRequest(); err != nil {
						return
					}
					if !first {
						conn.Send("HTTP/1.1 200 OK\nContent-Length: 4\n\ngood")
						continue
					}
					conn.Send(test.answer)
					if test.later != "" {
						<-answered
						conn.Send(test.later)
						close(said)
					}
				}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url})
			for n, want := range []string{"", "good"} {
				resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || n == 1 && string(body) != want {
					t.Errorf("got %q, %v", body, err)
				}
				resp.Body.Close()
				if test.later != "" && n == 0 {
					answered <- struct{}{}
					await(t, said, "what comes later")
				}
			}
			if got := connections.Load(); got != 2 {
				t.Errorf("got %d connections, want 2", got)
			}
		})
	}
}

func TestHTTP1_AcceptsResponseHeadersUpToTheLimit(t *testing.T) {
	t.Parallel()
	const status, end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Big: ", "\r\n\r\n"
	for _, size := range []int{8 << 10, 64 << 10, upstream.MaxResponseHeaderBytes - 1, upstream.MaxResponseHeaderBytes, upstream.MaxResponseHeaderBytes + 1} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			value := strings.Repeat("v", size-len(status)-len(end))
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					_, _ = io.WriteString(conn, status+value+end+"ok")
					conn.WaitEnd()
				}
			})
			resp, err := newUpstream(t, upstream.Config{BaseURL: url}).Send(t.Context(), &upstream.Request{Target: "/v1/x"})
			if size > upstream.MaxResponseHeaderBytes {
				if err == nil || !strings.HasSuffix(err.Error(), ": response headers are too large: the limit is 1048576 bytes") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" || resp.Header.Get("X-Big") != value {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// Unresponsive addresses of a name must not delay the connection (RFC 8305): the other
// address family is tried after 300 ms.
func TestDial_TriesSeveralAddresses(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	for _, test := range []struct {
		name      string
		addresses []string
		blackHole bool
	}{
		{"an IPv6 address that refuses connections", []string{"::1", "127.0.0.1"}, false},
		{"an address that refuses connections", []string{"127.0.0.2", "127.0.0.1"}, false},
		{"an unresponsive IPv6 address", []string{"::1", "127.0.0.1"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.blackHole {
				blackHole(t, port)
			}
			dialer := upstream.NewNetDialer(upstream.Config{})
			dialer.Resolver = resolver(t, map[string][]string{"up.example.": test.addresses})
			up := newUpstream(t, upstream.Config{BaseURL: "http://up.example:" + strconv.Itoa(port), DialContext: dialer.DialContext})
			start := time.Now()
			discard(t, up, &upstream.Request{Target: "/v1/x"})
			took := time.Since(start)
			t.Logf("it took %v", took)
			if took > 5*time.Second || test.blackHole && took < 200*time.Millisecond {
				t.Error("got a connection later than Happy Eyeballs allows")
			}
		})
	}
}

// A busy HTTP/2 connection reaches its maximum age, and its streams continue.
func TestHTTP2Reuse_RetiresOldConnections(t *testing.T) {
	t.Parallel()
	addresses := make(chan string, 3)
	finish := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addresses <- r.RemoteAddr
		if r.URL.Path == "/v1/stream" {
			w.(http.Flusher).Flush()
			<-finish
			io.WriteString(w, "whole") // shows at the other end
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	up := newUpstream(t, upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)})
	stream, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/stream"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	discard(t, up, &upstream.Request{Target: "/v1/x"})
	up.AgeConns(11 * time.Minute)
	discard(t, up, &upstream.Request{Target: "/v1/x"})
	if first, second, third := <-addresses, <-addresses, <-addresses; first != second || second == third {
		t.Errorf("got requests from %s, %s and %s", first, second, third)
	}
	close(finish)
	if body, err := io.ReadAll(stream.Body); err != nil || string(body) != "whole" {
		t.Errorf("got %q, %v", body, err)
	}
}

// blackHole makes a port of ::1 unresponsive.
func blackHole(t *testing.T, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Skipf("IPv6: %v", err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet6{Port: port, Addr: [16]byte{15: 1}}); err != nil {
		t.Skipf("IPv6 on loopback: %v", err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 { // whose connections nobody accepts
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", "[::1]:"+strconv.Itoa(port))
		cancel()
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the listener accepts more connections than its backlog")
}
