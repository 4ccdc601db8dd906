package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// newCrossOrigin returns an upstream that follows redirects to other hosts of a test.
func newCrossOrigin(t *testing.T, config upstream.Config) *upstream.Upstream {
	t.Helper()
	up := newUpstream(t, config)
	up.AllowLoopback()
	return up
}

// header returns a request header with all kinds of credentials.
func header() http.Header {
	h := http.Header{"Accept": {"*/*"}, "Idempotency-Key": {"1"}, "Range": {"bytes=1-"}, "Via": {"1.1 openai-connect"}, "X-Stainless-Lang": {"go"}}
	for _, name := range credentials {
		h[name] = []string{"s3cret"}
	}
	return h
}

var credentials = []string{
	"Authorization", "Cookie", "Proxy-Authorization", "Api-Key", "X-Api-Key", "x-api-KEY", "X-Goog-Api-Key", "X-Auth-Token",
	"X-Amz-Security-Token", "X-Client-Secret", "Openai-Organization", "Openai-Project", "Helicone-Auth", "Session_id",
}

func TestRedirect_RemovesCredentialsForAnotherOrigin(t *testing.T) {
	t.Parallel()
	other, abroadArrivals := serveAnswers(t, nil)
	url, arrivals := serveAnswers(t, map[string]string{
		"/v1/away": redirect(307, other+"/there?a=b"),
		"/v1/near": redirect(307, "/v1/there"),
	})
	up := newCrossOrigin(t, upstream.Config{BaseURL: url})

	discard(t, up, &upstream.Request{Target: "/v1/near", Header: header()})
	<-arrivals
	near := <-arrivals
	resp := discard(t, up, &upstream.Request{Method: "POST", Target: "/v1/away", Header: header(), Body: bytes.NewReader([]byte("{}"))})
	<-arrivals
	away := <-abroadArrivals

	if resp.Header.Get("X-Final") != "yes" || away.method != "POST" || away.body != "{}" || away.target != "/there?a=b" {
		t.Errorf("got request %+v and response %v", away, resp.Header)
	}
	if want := strings.TrimPrefix(other, "http://"); away.host != want || near.host != strings.TrimPrefix(url, "http://") {
		t.Errorf("host %q, want %q", away.host, want)
	}
	for _, name := range credentials {
		if near.header.Get(name) == "" {
			t.Errorf("%s was sent to another origin", name)
		}
		if values := away.header[http.CanonicalHeaderKey(name)]; values != nil {
			t.Errorf("%s was sent to another origin", name)
		}
	}
	for _, name := range []string{"Accept", "Idempotency-Key", "Range", "Via", "X-Stainless-Lang"} {
		if away.header.Get(name) == "" {
			t.Errorf("%s was not sent to the other origin", name)
		}
	}
	if away.header.Get("Referer") != "" {
		t.Errorf("got header %v", away.header)
	}
}

// Credentials removed for another origin stay removed: that origin could otherwise redirect
// them to a target of its choice.
func TestRedirect_DoesNotRestoreCredentialsOnTheWayBack(t *testing.T) {
	t.Parallel()
	back := make(chan string, 1)
	other := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send(redirect(302, <-back+"/v1/home"))
		}
	})
	url, arrivals := serveAnswers(t, map[string]string{"/v1/away": redirect(302, other)})
	back <- url
	discard(t, newCrossOrigin(t, upstream.Config{BaseURL: url}), &upstream.Request{Target: "/v1/away", Header: header()})
	<-arrivals
	if home := <-arrivals; home.target != "/v1/home" || home.header.Get("Authorization")+home.header.Get("Cookie") != "" {
		t.Errorf("got request %+v", home)
	}
}

// The client receives the complete redirect, including its body.
func TestRedirect_IsReturnedWhenNotAllowed(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "")
	plain, arrivals := serveAnswers(t, nil)
	names := resolver(t, map[string][]string{"rebound.example.": {"127.0.0.1"}, "metadata.example.": {"169.254.169.254"}, "mapped.example.": {"::ffff:127.0.0.1"}})
	_, port, _ := strings.Cut(strings.TrimPrefix(plain, "http://"), ":")
	secure := func(t *testing.T, location string) upstream.Config {
		t.Helper()
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.Header().Set("Set-Cookie", "a=b")
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, "moved") // shows at the other end
		}))
		t.Cleanup(server.Close)
		return upstream.Config{BaseURL: server.URL, RootCAs: rootsOf(server)}
	}
	for _, test := range []struct {
		name, location string
		change         func(*upstream.Config)
		request        upstream.Request
		loopback       bool
		proxy          string
	}{
		{name: "from https to http", location: plain, loopback: true},
		{name: "to http of the same host", location: "http://127.0.0.1/b", loopback: true},
		{name: "to a loopback address", location: "https://127.0.0.1:" + port},
		{name: "to localhost", location: "https://localhost:" + port},
		{name: "to loopback of IPv6", location: "https://[::1]:" + port},
		{name: "to a loopback address, mapped", location: "https://[::ffff:127.0.0.1]:" + port},
		{name: "to a private address", location: "https://10.1.2.3/"},
		{name: "to a cloud metadata service", location: "https://169.254.169.254/latest/meta-data/"},
		{name: "to a name that resolves to loopback", location: "https://rebound.example:" + port},
		{name: "to a name that resolves to a cloud metadata service", location: "https://metadata.example/"},
		{name: "to a name that resolves to loopback, mapped", location: "https://mapped.example:" + port},
		{
			name: "with NoRedirects", location: "/b",
			change: func(c *upstream.Config) { c.NoRedirects = true },
		},
		{
			name: "of an Upgrade", location: "/b",
			request: upstream.Request{Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
		},
		{
			name: "to another host, with DialContext", location: "https://104.18.7.192/",
			change: func(c *upstream.Config) {
				c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					if strings.HasPrefix(address, "104.") {
						return nil, errors.New("dialled abroad")
					}
					return new(net.Dialer).DialContext(ctx, network, address)
				}
			},
		},
		{name: "to another host, with a proxy", location: "https://104.18.7.192/", loopback: true, proxy: "http://127.0.0.1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", test.proxy)
			config := secure(t, test.location)
			if test.change != nil {
				test.change(&config)
			}
			up := newUpstream(t, config)
			if config.DialContext == nil {
				up.SetCrossOriginResolver(names)
			}
			if test.loopback {
				up.AllowLoopback()
			}
			test.request.Target = "/v1/a"
			resp, err := up.Send(t.Context(), &test.request)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "moved" || resp.StatusCode != http.StatusFound ||
				resp.Header.Get("Location") != test.location || resp.Header.Get("Set-Cookie") != "a=b" {
				t.Errorf("got %d %v %q %v, want the redirect", resp.StatusCode, resp.Header, body, err)
			}
			select {
			case there := <-arrivals:
				t.Errorf("got request %+v", there)
			default:
			}
		})
	}
}

// resolver resolves names with a DNS server of the test.
func resolver(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	packets, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		name, kind := question.Question[0].Name, question.Question[0].Qtype
		if names[name] == nil {
			answer.Rcode = dns.RcodeNameError
		}
		for _, address := range names[name] {
			head := dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET}
			switch isIPv6 := strings.Contains(address, ":"); {
			case kind == dns.TypeA && !isIPv6:
				answer.Answer = append(answer.Answer, &dns.A{Hdr: head, A: net.ParseIP(address)})
			case kind == dns.TypeAAAA && isIPv6:
				answer.Answer = append(answer.Answer, &dns.AAAA{Hdr: head, AAAA: net.ParseIP(address)})
			}
		}
		_ = w.WriteMsg(answer)
	})}
	served := make(chan error, 1)
	go func() { served <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", packets.LocalAddr().String())
	}}
}

func TestRedirect_VerifiesTheCertificateOfAnotherHost(t *testing.T) {
	t.Parallel()
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "c=d")
		io.WriteString(w, r.Host+r.RequestURI) // shows at the other end
	}))
	other.Config.ErrorLog = discardLog
	other.StartTLS()
	t.Cleanup(other.Close)
	_, port, err := net.SplitHostPort(other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, location string
		config         upstream.Config
		says           string
	}{
		{"to a host with a valid certificate", "https://example.com:" + port + "/b", upstream.Config{RootCAs: rootsOf(other)}, ""},
		{"to a host with an untrusted certificate", "https://example.com:" + port + "/b", upstream.Config{}, "upstream example.com:" + port + ": TLS handshake failed"},
		{"to an unknown host", "https://nowhere.example/b", upstream.Config{RootCAs: rootsOf(other)}, "upstream nowhere.example: could not connect: no such host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.config.BaseURL, _ = serveAnswers(t, map[string]string{"/v1/a": "HTTP/1.1 301 x\nSet-Cookie: a=b\nX-First: yes\nContent-Length: 0\nLocation: " + test.location + "\n\n"})
			up := newCrossOrigin(t, test.config)
			up.SetCrossOriginResolver(resolver(t, map[string][]string{"example.com.": {"127.0.0.1"}}))
			resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/a"})
			if test.says != "" {
				if err == nil || !strings.HasPrefix(err.Error(), test.says) {
					t.Errorf("got %v, want %s", err, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "example.com:"+port+"/b" {
				t.Errorf("got %q, %v", body, err)
			}
			if resp.Header.Get("X-First") != "" || !slices.Equal(resp.Header["Set-Cookie"], []string{"c=d"}) {
				t.Errorf("got %v, want only the headers of the last host", resp.Header)
			}
		})
	}
}

func TestRedirect_FollowsUpToTenRedirects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		length   int
		followed bool
	}{{"ten", 10, true}, {"eleven", 11, false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]string{}
			for n := range test.length {
				answers[fmt.Sprintf("/v1/%d", n)] = redirect(302, fmt.Sprintf("/v1/%d", n+1))
			}
			url, arrivals := serveAnswers(t, answers)
			resp := discard(t, newUpstream(t, upstream.Config{BaseURL: url}), &upstream.Request{Target: "/v1/0"})
			if followed := resp.StatusCode == http.StatusOK; followed != test.followed || !followed && resp.Header.Get("Location") != "/v1/11" {
				t.Errorf("got %d %v", resp.StatusCode, resp.Header)
			}
			if got := len(arrivals); got != 11 {
				t.Errorf("got %d requests, want 11", got)
			}
		})
	}
}

func TestRedirect_ReusesTheConnectionAfterASmallBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		kept         bool
	}{
		{"a redirect without a body keeps its connection", "Content-Length: 0\n\n", true},
		{"a redirect with a small page keeps its connection", "Content-Length: 4000\n\n" + strings.Repeat("x", 4000), true},
		{"a chunked redirect keeps its connection", "Transfer-Encoding: chunked\n\n2\nab\n0\n\n", true},
		{"a redirect with a large page doesn't", "Content-Length: 1000000\n\n", false},
		{"a redirect with a slow body doesn't", "Transfer-Encoding: chunked\n\n2\nab\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				connections.Add(1)
				for {
					request, err := conn.ReadRequest()
					switch {
					case err != nil:
						return
					case request.Target() == "/b":
						conn.Send("HTTP/1.1 204 No Content\n\n")
					default:
						conn.Send("HTTP/1.1 308 x\nLocation: /b\n" + test.answer)
					}
				}
			})
			up := newUpstream(t, upstream.Config{BaseURL: url})
			if resp := discard(t, up, &upstream.Request{Target: "/v1/a"}); resp.StatusCode != 204 {
				t.Errorf("got %d", resp.StatusCode)
			}
			if kept := connections.Load() == 1; kept != test.kept {
				t.Errorf("got %d connections", connections.Load())
			}
		})
	}
}

// A connection to another host is closed after the response.
func TestRedirect_KeepsNoConnectionToAnotherHost(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	other := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			conn.WaitEnd()
			ended <- struct{}{}
		}
	})
	url, _ := serveAnswers(t, map[string]string{"/v1/a": redirect(302, other)})
	up := newCrossOrigin(t, upstream.Config{BaseURL: url})
	resp, err := up.Send(t.Context(), &upstream.Request{Target: "/v1/a"})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" {
		t.Errorf("got %q, %v", body, err)
	}
	await(t, ended, "the end of the connection")
	resp.Body.Close()
	if got := up.IdleConns(); got != 1 {
		t.Errorf("got %d idle connections to the upstream, want 1", got)
	}
}

func TestRedirect_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	reached, ended := make(chan struct{}), make(chan struct{})
	other := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			reached <- struct{}{}
			conn.WaitEnd()
			ended <- struct{}{}
		}
	})
	url, _ := serveAnswers(t, map[string]string{"/v1/a": redirect(302, other)})
	up := newCrossOrigin(t, upstream.Config{BaseURL: url})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := up.Send(ctx, &upstream.Request{Target: "/v1/a"})
		result <- err
	}()
	await(t, reached, "the request")
	cancel()
	await(t, ended, "the end of the connection")
	if err := await(t, result, "the error"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
