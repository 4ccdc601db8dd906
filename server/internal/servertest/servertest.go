// Package servertest runs the parts of a test of the server: the server on a real
// socket, an upstream that records requests, and clients of each kind.
package servertest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Key is the API key that the clients of this package send.
const Key = "sk-test-0123456789"

// Front is a running server.
type Front struct {
	// Server is the running server.
	Server *server.Server
	// Address is the HOST:PORT that it listens on.
	Address string
	// URL is its base URL without a trailing slash.
	URL string
	// Stop starts its shutdown, which lets requests in progress finish. The end of the
	// test does the same.
	Stop context.CancelFunc
}

// Start runs a server, without TLS, until the test ends.
func Start(tb testing.TB, config server.Config) *Front {
	tb.Helper()
	return StartWith(tb, config, server.ServeConfig{})
}

// StartWith is [Start] with settings for Serve.
func StartWith(tb testing.TB, config server.Config, serveConfig server.ServeConfig) *Front {
	tb.Helper()
	s, err := server.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, listener, serveConfig)
	}()
	tb.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			tb.Errorf("server failed to shut down cleanly: %v", err)
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	address := listener.Addr().String()
	return &Front{Server: s, Address: address, URL: "http://" + address, Stop: stop}
}

// Protocol is an RPC protocol of a client.
type Protocol struct {
	Name    string
	options []connecthttp.Option
	http2   bool
	http10  bool
}

// Protocols returns the protocols that the server speaks, in every form that Connect's
// client supports.
func Protocols() []Protocol {
	return []Protocol{
		{Name: "Connect"},
		{Name: "Connect JSON", options: []connecthttp.Option{connecthttp.WithProtoJSON()}},
		{Name: "Connect over HTTP/2", http2: true},
		{Name: "gRPC", options: []connecthttp.Option{connecthttp.WithGRPC()}, http2: true},
		{Name: "gRPC-Web", options: []connecthttp.Option{connecthttp.WithGRPCWeb()}},
	}
}

// HTTP10Protocols returns the protocols that work over HTTP/1.0, which a proxy in front
// of the server may speak.
func HTTP10Protocols() []Protocol {
	return []Protocol{
		{Name: "Connect over HTTP/1.0", http10: true},
		{Name: "gRPC-Web over HTTP/1.0", options: []connecthttp.Option{connecthttp.WithGRPCWeb()}, http10: true},
	}
}

// Client returns a client for the protocol. It sends Key unless the metadata of a call
// has an Authorization value.
func (f *Front) Client(tb testing.TB, protocol Protocol, options ...connecthttp.Option) chatv1connect.ChatServiceClient {
	tb.Helper()
	return chatv1connect.NewChatServiceClient(f.Connect(tb, protocol, options...))
}

// Connect is [Front.Client] for any service.
func (f *Front) Connect(tb testing.TB, protocol Protocol, options ...connecthttp.Option) *connect.Client {
	tb.Helper()
	options = append(slices.Clone(protocol.options), options...)
	client := HTTPClient(tb, protocol.http2)
	if protocol.http10 {
		client = HTTP10Client()
	}
	return connect.NewClient(connecthttp.NewTransport(client, f.URL, options...), sendKey)
}

func sendKey(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		info, _ := connect.CallInfoForClientContext(ctx)
		if !info.RequestHeader().Has("Authorization") {
			info.RequestHeader().Set("Authorization", "Bearer "+Key)
		}
		return next(ctx, spec)
	}
}

// HTTPClient returns a client without TLS for HTTP/2 with prior knowledge or HTTP/1.1.
// It follows no redirects.
func HTTPClient(tb testing.TB, http2 bool) *http.Client {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 1000}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// HTTP10Client is [HTTPClient] for HTTP/1.0.
func HTTP10Client() *http.Client {
	return &http.Client{
		Transport:     upstreamtest.HTTP10{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// GRPC returns a connection of grpc-go.
func (f *Front) GRPC(tb testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	options = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)
	conn, err := grpc.NewClient(f.Address, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// SDK returns OpenAI's client, without retries.
func (f *Front) SDK(tb testing.TB) openai.Client {
	tb.Helper()
	return openai.NewClient(
		option.WithBaseURL(f.URL+"/v1"),
		option.WithAPIKey(Key),
		option.WithHTTPClient(HTTPClient(tb, false)),
		option.WithMaxRetries(0),
	)
}

// Request is a request that an upstream received.
type Request struct {
	Method string
	Target string // as sent
	Header http.Header
	Body   string
}

// Upstream is an upstream that records what it receives.
type Upstream struct {
	// URL is its base URL, without a path.
	URL string

	mu       sync.Mutex
	requests []Request
}

// StartUpstream runs an upstream until the test ends. It records each request and
// responds with handler.
func StartUpstream(tb testing.TB, handler http.HandlerFunc) *Upstream {
	tb.Helper()
	u := new(Upstream)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		u.mu.Lock()
		u.requests = append(u.requests, Request{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
		u.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, r)
	}))
	tb.Cleanup(s.Close)
	u.URL = s.URL
	return u
}

// Take returns the requests received since the last call.
func (u *Upstream) Take() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := u.requests
	u.requests = nil
	return requests
}

// JSON responds with a status and a JSON body.
func JSON(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Events responds with a stream of Server-Sent Events with these data. It flushes each
// event.
func Events(data ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, d := range data {
			_, _ = io.WriteString(w, "data: "+d+"\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
}
