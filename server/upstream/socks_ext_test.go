package upstream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// socks is a SOCKS5 proxy (RFC 1928) with password authentication (RFC 1929) that connects to
// one address, whatever was requested.
type socks struct {
	user, password string // empty for none
	onward         string // empty to refuse
	asked          chan string
}

// serve starts the proxy and returns its "host:port".
func (s *socks) serve(t *testing.T) string {
	t.Helper()
	s.asked = make(chan string, 16)
	return strings.TrimPrefix(upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if s.greet(conn) && s.connect(conn) {
			relay(conn, s.onward)
		}
	}), "http://")
}

func (s *socks) greet(conn *upstreamtest.Conn) bool {
	const none, byPassword, unacceptable = 0, 2, 0xff
	method := byte(none)
	if s.user != "" {
		method = byPassword
	}
	head := take(conn, 2)
	if head == nil || head[0] != 5 {
		return false
	}
	if !bytes.Contains(take(conn, int(head[1])), []byte{method}) {
		_, _ = conn.Write([]byte{5, unacceptable})
		return false
	}
	_, _ = conn.Write([]byte{5, method})
	if method == none {
		return true
	}
	user := take(conn, int(take(conn, 2)[1]))
	password := take(conn, int(take(conn, 1)[0]))
	if string(user) != s.user || string(password) != s.password {
		_, _ = conn.Write([]byte{1, 1})
		return false
	}
	_, _ = conn.Write([]byte{1, 0})
	return true
}

func (s *socks) connect(conn *upstreamtest.Conn) bool {
	head := take(conn, 4)
	if head == nil {
		return false
	}
	var host string
	switch head[3] {
	case 1:
		host = net.IP(take(conn, net.IPv4len)).String()
	case 3:
		host = "name " + string(take(conn, int(take(conn, 1)[0])))
	case 4:
		host = net.IP(take(conn, net.IPv6len)).String()
	}
	port := binary.BigEndian.Uint16(take(conn, 2))
	s.asked <- net.JoinHostPort(host, strconv.Itoa(int(port)))
	answer := []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	if s.onward == "" {
		answer[1] = 5 // connection refused
	}
	_, _ = conn.Write(answer)
	return s.onward != ""
}

// take reads n bytes, or returns nil.
func take(conn *upstreamtest.Conn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(conn.Reader, b); err != nil {
		return make([]byte, n)
	}
	return b
}

// relay copies data in both directions until one side ends.
func relay(conn *upstreamtest.Conn, address string) {
	onward, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		_, _ = io.Copy(onward, conn.Reader)
		_ = onward.Close()
	})
	_, _ = io.Copy(conn, onward)
	_ = conn.Close()
	pipes.Wait()
}

func TestSOCKS_ConnectsThroughTheProxy(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Proxy-Authorization")+r.Host) // shows at the other end
	}))
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(secure.Config.Handler)
	t.Cleanup(plain.Close)
	for _, test := range []struct {
		name, scheme, login, baseURL string
		proxy                        socks
		asked                        string
		says                         string // of the error; empty for none
	}{
		{"without a login", "socks5", "", "https://example.com", socks{}, "name example.com:443", ""},
		{"with a login", "socks5", "me:" + secret + "@", "https://example.com", socks{user: "me", password: secret}, "name example.com:443", ""},
		{"with a login of special characters", "socks5", "m%40e:a%3Ab%2F@", "https://example.com", socks{user: "m@e", password: "a:b/"}, "name example.com:443", ""},
		{"with the scheme for names resolved by the proxy", "socks5h", "", "https://example.com:8443", socks{}, "name example.com:8443", ""},
		{"to plain HTTP", "socks5", "me:" + secret + "@", "http://example.com", socks{user: "me", password: secret}, "name example.com:80", ""},
		{"to an address", "socks5", "", "http://192.0.2.1:81", socks{}, "192.0.2.1:81", ""},
		{"to an IPv6 address", "socks5", "", "http://[2001:db8::1]:81", socks{}, "[2001:db8::1]:81", ""},
		{"to loopback, because the proxy is configured explicitly", "socks5", "", "http://127.0.0.1:81", socks{}, "127.0.0.1:81", ""},

		{"with a wrong password", "socks5", "me:" + secret + "@", "https://example.com", socks{user: "me", password: "other"}, "", "proxy: username/password authentication failed"},
		{"without a required login", "socks5", "", "https://example.com", socks{user: "me", password: "other"}, "", "proxy: no acceptable authentication methods"},
		{"to an unreachable host", "socks5", "me:" + secret + "@", "https://example.com", socks{user: "me", password: secret, onward: "-"}, "name example.com:443", "proxy: unknown error connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			switch {
			case test.proxy.onward == "-":
				test.proxy.onward = ""
			case strings.HasPrefix(test.baseURL, "https"):
				test.proxy.onward = secure.Listener.Addr().String()
			default:
				test.proxy.onward = plain.Listener.Addr().String()
			}
			address := test.proxy.serve(t)
			up := newUpstream(t, upstream.Config{BaseURL: test.baseURL, RootCAs: rootsOf(secure), Proxy: test.scheme + "://" + test.login + address})
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
			if test.asked != "" {
				if got := <-test.proxy.asked; got != test.asked {
					t.Errorf("got a request for %s, want %s", got, test.asked)
				}
			}
			_, host, _ := strings.Cut(test.baseURL, "://")
			if test.says != "" {
				if want := "upstream " + host + ": could not connect: " + test.says; err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != host {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// When connecting is canceled, Send returns at once and the peer sees the end of the
// connection.
func TestCancel_EndsConnecting(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, baseURL string
		proxy         string // a scheme
		answers       string // of who is waited for then
	}{
		{"in a proxy's CONNECT", "https://example.com", "http", ""},
		{"in a TLS handshake with a proxy", "https://example.com", "https", ""},
		{"in a TLS handshake through a proxy", "https://example.com", "http", "HTTP/1.1 200 OK\n\n"},
		{"in a SOCKS handshake", "https://example.com", "socks5", ""},
		{"in the middle of a SOCKS handshake", "https://example.com", "socks5", "\x05\x00"},
		{"in a TLS handshake", "", "", ""},
	} {
		for _, http2 := range []bool{false, true} {
			name := test.name
			if http2 {
				name += ", for HTTP/2"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				reached, ended := make(chan struct{}), make(chan struct{})
				url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
					_, _ = conn.Reader.Peek(1)
					if strings.HasPrefix(test.answers, "H") {
						_, _ = conn.ReadHead()
					}
					conn.Send(test.answers)
					if strings.HasPrefix(test.answers, "H") {
						_, _ = conn.Reader.Peek(1) // the hello
					}
					reached <- struct{}{}
					conn.WaitEnd()
					close(ended)
				})
				address := strings.TrimPrefix(url, "http://")
				config := upstream.Config{BaseURL: test.baseURL, HTTP2: http2, Proxy: upstream.NoProxy}
				if test.proxy == "" {
					config.BaseURL = "https://" + address
				} else {
					config.Proxy = test.proxy + "://me:" + secret + "@" + address
					if test.proxy == "socks5" {
						config.Proxy = test.proxy + "://" + address
					}
				}
				up := newUpstream(t, config)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error, 1)
				go func() {
					_, err := up.Send(ctx, &upstream.Request{Target: "/v1/x"})
					result <- err
				}()
				await(t, reached, "the other side to be waited for")
				start := time.Now()
				cancel()
				if err := await(t, result, "the error"); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want the context's error", err)
				}
				t.Logf("Send ended after %v", time.Since(start))
				await(t, ended, "the other side to see the end")
			})
		}
	}
}

func TestCancel_EndsDialing(t *testing.T) {
	t.Parallel()
	dialling := make(chan struct{})
	up := newUpstream(t, upstream.Config{BaseURL: "https://example.com", DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialling)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-dialling
		cancel()
	}()
	if _, err := up.Send(ctx, &upstream.Request{Target: "/v1/x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
