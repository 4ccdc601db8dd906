package upstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

func TestProxy_ForwardsHTTPInAbsoluteForm(t *testing.T) {
	heads := make(chan upstreamtest.Head, 1)
	proxy := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			heads <- request.Head
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	t.Setenv("HTTP_PROXY", strings.Replace(proxy, "://", "://user:"+secret+"@", 1))
	t.Setenv("NO_PROXY", "direct.invalid")
	up := newUpstream(t, upstream.Config{BaseURL: "http://upstream.invalid:8080/api/v3"})
	for _, test := range targets {
		if test.target == "*" {
			continue // has no absolute form
		}
		discard(t, up, &upstream.Request{Target: test.target})
		head := <-heads
		if want := "GET http://upstream.invalid:8080" + test.want + " HTTP/1.1"; head.Line != want {
			t.Errorf("%s: proxy got %q, want %q", test.name, head.Line, want)
		}
		if got := head.Value("Host"); got != "upstream.invalid:8080" {
			t.Errorf("%s: proxy got host %q", test.name, got)
		}
		if got := head.Value("Proxy-Authorization"); !strings.HasPrefix(got, "Basic ") {
			t.Errorf("%s: proxy got credentials %q", test.name, got)
		}
	}

	up = newUpstream(t, upstream.Config{BaseURL: "http://direct.invalid"})
	_, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
	if cause, ok := errors.AsType[*upstream.Error](err); !ok || cause.Kind != upstream.KindConnect || strings.Contains(err.Error(), "proxy") {
		t.Errorf("a host of NO_PROXY: got %v, want an error of a direct connection", err)
	}
}

func TestProxy_TunnelsHTTPS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.RequestURI) // shows at the other end
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	lines := make(chan string, 1)
	proxy := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		head, err := conn.ReadHead()
		if err != nil {
			return
		}
		lines <- head.Line
		onward, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return
		}
		conn.Send("HTTP/1.1 200 OK\n\n")
		var pipes sync.WaitGroup
		pipes.Go(func() {
			io.Copy(onward, conn.Reader) // until either side ends
			onward.Close()
		})
		io.Copy(conn, onward) // until either side ends
		conn.Close()
		pipes.Wait()
	})
	t.Setenv("HTTPS_PROXY", proxy)
	for _, version := range []struct {
		name  string
		http2 bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} {
		up := newUpstream(t, upstream.Config{
			BaseURL: "https://example.com", // the name in the certificate
			HTTP2:   version.http2,
			RootCAs: rootsOf(server),
		})
		resp, err := up.Send(t.Context(), &upstream.Request{Target: "//x/{}"})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := <-lines, "CONNECT example.com:443 HTTP/1.1"; got != want {
			t.Errorf("proxy got %q, want %q", got, want)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != version.name+" //x/{}" {
			t.Errorf("got %q, %v", body, err)
		}
		resp.Body.Close()
	}
}

func TestProxy_ReportsARejectedTunnel(t *testing.T) {
	proxy := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err == nil {
			conn.Send("HTTP/1.1 407 " + secret + "\nProxy-Authenticate: Basic\n\n")
		}
	})
	t.Setenv("HTTPS_PROXY", proxy)
	up := newUpstream(t, upstream.Config{BaseURL: "https://upstream.invalid"})
	_, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
	cause, ok := errors.AsType[*upstream.Error](err)
	if !ok || cause.Kind != upstream.KindConnect {
		t.Fatalf("got %v, want an error of KindConnect", err)
	}
	if want := "upstream upstream.invalid: could not connect: proxy responded with 407 Proxy Authentication Required"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestProxy_ReportsAnUnreachableProxyWithoutItsAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	t.Setenv("HTTPS_PROXY", "http://user:"+secret+"@"+listener.Addr().String())
	up := newUpstream(t, upstream.Config{BaseURL: "https://upstream.invalid"})
	_, err = up.Send(t.Context(), &upstream.Request{Target: "/v1/x"})
	if err == nil || !strings.Contains(err.Error(), "proxy: ") {
		t.Errorf("got %v, want an error naming the proxy", err)
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("error %q contains the proxy's address or password", err)
	}
}

func TestProxy_IsNotUsedForLoopback(t *testing.T) {
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	up := newUpstream(t, upstream.Config{BaseURL: url})
	discard(t, up, &upstream.Request{Target: "/v1/x"})
}

func TestProxy_RejectsAnInvalidEnvironment(t *testing.T) {
	for _, test := range []struct{ name, variable, proxy, baseURL string }{
		{"an invalid URL", "HTTPS_PROXY", "http://user:" + secret + "@[bad", "https://upstream.invalid"},
		{"an invalid URL for plain HTTP", "HTTP_PROXY", "http://user:" + secret + "@[bad", "http://upstream.invalid"},
		{"another scheme", "HTTPS_PROXY", "ftp://user:" + secret + "@proxy.invalid", "https://upstream.invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(test.variable, test.proxy)
			_, err := upstream.New(upstream.Config{BaseURL: test.baseURL})
			if err == nil || !strings.Contains(err.Error(), test.variable) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want an error containing %s and no password", err, test.variable)
			}
		})
	}
}
