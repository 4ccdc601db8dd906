package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

const secret = "s3cret"

func TestError_HasAKindForEachFailure(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(*testing.T) upstream.Config {
		return func(t *testing.T) upstream.Config {
			t.Helper()
			return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					conn.Send(text)
				}
			})}
		}
	}
	silent := func(t *testing.T) upstream.Config {
		t.Helper()
		return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.WaitEnd() })}
	}
	tlsServer := func(t *testing.T, handler http.HandlerFunc) *httptest.Server {
		t.Helper()
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		server.Config.ErrorLog = discardLog
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	for _, test := range []struct {
		name    string
		config  func(t *testing.T) upstream.Config
		request upstream.Request
		kind    upstream.Kind
		says    string
	}{
		{
			name: "the connection is refused",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				listener, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				listener.Close()
				return upstream.Config{BaseURL: "http://" + listener.Addr().String()}
			},
			kind: upstream.KindConnect, says: "connection refused",
		},
		{
			name: "the name does not exist",
			config: func(*testing.T) upstream.Config {
				return upstream.Config{
					BaseURL: "http://nowhere.invalid",
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
							Err: "no such host", Name: "nowhere.invalid", Server: "10.0.0.53:53", IsNotFound: true,
						}}
					},
				}
			},
			kind: upstream.KindConnect, says: "nowhere.invalid: could not connect: no such host",
		},
		{
			name: "the certificate is not trusted",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				return upstream.Config{BaseURL: tlsServer(t, nil).URL}
			},
			kind: upstream.KindTLS, says: "certificate",
		},
		{
			name: "the certificate is for another name",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				server := tlsServer(t, nil)
				return upstream.Config{
					BaseURL: "https://other.invalid",
					RootCAs: rootsOf(server),
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
					},
				}
			},
			kind: upstream.KindTLS, says: "other.invalid",
		},
		{
			name: "the upstream does not speak TLS",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.Send("220 hello\n") })
				return upstream.Config{BaseURL: strings.Replace(url, "http:", "https:", 1)}
			},
			kind: upstream.KindTLS,
		},
		{
			name: "the TLS handshake takes too long",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				return upstream.Config{
					BaseURL:        strings.Replace(silent(t).BaseURL, "http:", "https:", 1),
					ConnectTimeout: 20 * time.Millisecond,
				}
			},
			kind: upstream.KindTLS, says: "timeout",
		},
		{
			name: "no response arrives in time",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				return upstream.Config{BaseURL: silent(t).BaseURL, ResponseHeaderTimeout: 20 * time.Millisecond}
			},
			kind: upstream.KindTimeout, says: "20ms",
		},
		{
			name: "no response arrives in time over HTTP/2",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				server := tlsServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server), ResponseHeaderTimeout: 20 * time.Millisecond}
			},
			kind: upstream.KindTimeout, says: "20ms",
		},
		{
			name:   "the upstream closes without a response",
			config: answer(""),
			kind:   upstream.KindClosed,
		},
		{
			name:    "the upstream closes without a response to a body",
			config:  answer(""),
			request: upstream.Request{Method: "POST", Body: bytes.NewReader([]byte("{}"))},
			kind:    upstream.KindClosed,
		},
		{
			name:   "the upstream closes in the middle of a header",
			config: answer("HTTP/1.1 200 OK\nX-Secret: " + secret),
			kind:   upstream.KindClosed,
		},
		{
			name: "the upstream resets the stream over HTTP/2",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				server := tlsServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
				return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)}
			},
			kind: upstream.KindClosed,
		},
		{
			name:   "the header is too large",
			config: answer("HTTP/1.1 200 OK\nX-A: " + strings.Repeat("v", 1<<20) + "\n\n"),
			kind:   upstream.KindHeaderTooLarge, says: "1048576 bytes",
		},
		{
			name: "the header is too large over HTTP/2",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				server := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("X-A", strings.Repeat("v", 1<<20+200)) // slightly over the limit, so that the error names the limit
				})
				return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)}
			},
			kind: upstream.KindHeaderTooLarge, says: "1048576 bytes",
		},
		{
			name: "the header is so large over HTTP/2 that the connection ends",
			config: func(t *testing.T) upstream.Config {
				t.Helper()
				server := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("X-A", strings.Repeat("v", 2<<20))
				})
				return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: rootsOf(server)}
			},
			kind: upstream.KindMalformed, says: "connection error",
		},
		{
			name:   "the response is not HTTP",
			config: answer("220 " + secret + " ready\n\n"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "a field is malformed",
			config: answer("HTTP/1.1 200 OK\nX-Secret " + secret + "\n\n"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "the length is malformed",
			config: answer("HTTP/1.1 200 OK\nContent-Length: " + secret + "\n\n"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "two different lengths",
			config: answer("HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 4\n\nabcd"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "a field with a control character",
			config: answer("HTTP/1.1 200 OK\nX: a\x00" + secret + "\nContent-Length: 0\n\n"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "an interim response with a control character",
			config: answer("HTTP/1.1 103 Early Hints\nLink: \x1b[31m" + secret + "\n\nHTTP/1.1 204 No Content\n\n"),
			kind:   upstream.KindMalformed,
		},
		{
			name:   "the status has two digits",
			config: answer("HTTP/1.1 099 Low\nContent-Length: 0\n\n"),
			kind:   upstream.KindMalformed, says: "three digits",
		},
		{
			name:   "an unrequested switch of protocols",
			config: answer("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n"),
			kind:   upstream.KindMalformed, says: "not requested",
		},
		{
			name:    "a switch to another protocol than requested",
			config:  answer("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n"),
			request: upstream.Request{Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
			kind:    upstream.KindMalformed, says: "not requested",
		},
		{
			name:    "an invalid header",
			config:  answer(""),
			request: upstream.Request{Header: http.Header{"X-Secret": {secret + "\n"}}},
			kind:    upstream.KindRequest, says: "X-Secret",
		},
		{
			name:    "an invalid method",
			config:  answer(""),
			request: upstream.Request{Method: "G T"},
			kind:    upstream.KindRequest, says: "method",
		},
		{
			name:    "a CONNECT",
			config:  answer(""),
			request: upstream.Request{Method: "CONNECT"},
			kind:    upstream.KindRequest, says: "CONNECT",
		},
		{
			name:   "a body that times out",
			config: silent,
			request: upstream.Request{Method: "POST", ContentLength: -1, Body: failingReader{&net.OpError{
				Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: 1}, Addr: &net.TCPAddr{Port: 2}, Err: os.ErrDeadlineExceeded,
			}}},
			kind: upstream.KindRequest, says: "could not be sent: i/o timeout",
		},
		{
			name:    "a malformed trailer",
			config:  silent,
			request: upstream.Request{Method: "POST", ContentLength: -1, Body: failingReader{textproto.ProtocolError("malformed: " + secret)}},
			kind:    upstream.KindRequest, says: "trailer is malformed",
		},
		{
			name:    "a body that fails",
			config:  silent,
			request: upstream.Request{Method: "POST", ContentLength: -1, Body: io.MultiReader(strings.NewReader("{"), failingReader{errBody})},
			kind:    upstream.KindRequest, says: errBody.Error(),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := test.config(t)
			up := newUpstream(t, config)
			test.request.Target = "/v1/x?key=" + secret
			_, err := up.Send(t.Context(), &test.request)
			cause, ok := errors.AsType[*upstream.Error](err)
			if !ok || cause.Kind != test.kind {
				t.Fatalf("got error %v, want one of kind %q", err, test.kind)
			}
			host := strings.TrimPrefix(strings.TrimPrefix(config.BaseURL, "http://"), "https://")
			if text := err.Error(); !strings.HasPrefix(text, "upstream "+host+": ") || !strings.Contains(text, test.says) {
				t.Errorf("error %q: want it to contain %q and %q", text, host, test.says)
			}
			for _, leak := range []string{secret, "10.0.0.53", "->"} {
				if strings.Contains(err.Error(), leak) {
					t.Errorf("error %q contains %q", err, leak)
				}
			}
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				t.Errorf("error %q wraps an error of the context", err)
			}
		})
	}
}

var errBody = errors.New("the client left")

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestError_UnwrapsToTheErrorOfTheRequestBody(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) { conn.WaitEnd() })
	up := newUpstream(t, upstream.Config{BaseURL: url})
	_, err := up.Send(t.Context(), &upstream.Request{Method: "POST", Target: "/v1/x", Body: failingReader{errBody}, ContentLength: -1})
	if !errors.Is(err, errBody) {
		t.Errorf("got %v, want the error of the body", err)
	}
}

func TestError_ReportsATruncatedOrMalformedBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		kind         upstream.Kind
	}{
		{"short of its length", "HTTP/1.1 200 OK\nContent-Length: 10\n\nabc", upstream.KindTruncated},
		{"without a last chunk", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n", upstream.KindTruncated},
		{"in the middle of a chunk", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n9\nabc", upstream.KindTruncated},
		{"with a malformed chunk", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n" + secret + "\n", upstream.KindMalformed},
		{"with a malformed trailer", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX " + secret + "\n\n", upstream.KindMalformed},
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
			if string(body) != "abc" {
				t.Errorf("got %q before the error, want \"abc\"", body)
			}
			if cause, ok := errors.AsType[*upstream.Error](err); !ok || cause.Kind != test.kind {
				t.Errorf("got error %v, want one of kind %q", err, test.kind)
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q quotes received data", err)
			}
			if _, again := resp.Body.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("second Read: got %v, want the same error", again)
			}
		})
	}
}

func TestNew_RejectsInvalidConfigurations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config upstream.Config
		says   string
	}{
		{"a bad base URL", upstream.Config{BaseURL: "nonsense"}, "scheme"},
		{"a negative timeout", upstream.Config{ConnectTimeout: -1}, "ConnectTimeout is negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := upstream.New(test.config); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error containing %q", err, test.says)
			}
		})
	}
}

func TestNew_DefaultsToTheOpenAIAPI(t *testing.T) {
	t.Parallel()
	up := newUpstream(t, upstream.Config{})
	if got := up.BaseURL(); got != "https://api.openai.com/v1" {
		t.Errorf("got %s", got)
	}
}
