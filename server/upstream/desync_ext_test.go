package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A connection with data after the response is not reused, even if the data is buffered in
// the TLS layer, where the socket doesn't show it.
func TestHTTP1Reuse_DropsAConnectionWithBufferedTLSData(t *testing.T) {
	t.Parallel()
	certificates := httptest.NewTLSServer(nil)
	defer certificates.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certificates.Certificate())
	const stray = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
	for _, size := range []int{0, 10, 3000, 4096, 5000, 10000} {
		for _, split := range []bool{false, true} {
			t.Run(fmt.Sprintf("behind %d bytes, in a record of its own: %v", size, split), func(t *testing.T) {
				t.Parallel()
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { listener.Close() })
				mine := strings.Repeat("m", size)
				go func() {
					for {
						conn, err := listener.Accept()
						if err != nil {
							return
						}
						go answerWithMore(conn, certificates.TLS, mine, stray, split)
					}
				}()
				up, err := upstream.New(upstream.Config{BaseURL: "https://" + listener.Addr().String(), RootCAs: roots})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(up.CloseIdleConnections)
				for range 5 {
					resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil || string(body) != mine {
						t.Fatalf("got %.40q of %d bytes, %v", body, len(body), err)
					}
					resp.Body.Close()
				}
			})
		}
	}
}

// answerWithMore responds to requests and sends more data in the same write.
func answerWithMore(network net.Conn, config *tls.Config, body, more string, split bool) {
	corked := &corked{Conn: network}
	conn := tls.Server(corked, &tls.Config{Certificates: config.Certificates})
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		corked.hold = true
		if split {
			_, _ = io.WriteString(conn, answer)
			_, _ = io.WriteString(conn, more)
		} else {
			_, _ = io.WriteString(conn, answer+more)
		}
		corked.hold = false
		corked.release()
	}
}

// corked is a connection that can hold back written data.
type corked struct {
	net.Conn

	hold bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.hold {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) release() {
	_, _ = c.Conn.Write(c.held)
	c.held = c.held[:0]
}

// An unsolicited response, as a busy server sends it, is taken for the response to the
// first request. The response to that request, which may follow, must not be taken for
// the next one's.
func TestHTTP1Reuse_DropsAConnectionWithAnUnsolicitedResponse(t *testing.T) {
	t.Parallel()
	said := make(chan struct{}, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		conn.Send("HTTP/1.1 503 Service Unavailable\nContent-Length: 4\n\nbusy")
		said <- struct{}{}
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 7\n\nforeign")
		}
	})
	up := newUpstream(t, upstream.Config{
		BaseURL: url,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			<-said
			return conn, err
		},
	})
	for range 20 {
		resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "busy" {
			t.Fatalf("got %q, %v", body, err)
		}
		resp.Body.Close()
	}
}
