// Package observetest runs, for tests, a server that is observed: typed and raw over the
// real transport to an upstream.
package observetest

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/sandbox"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/transcode"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

// UpstreamName is the name of the upstream.
const UpstreamName = "main"

// Front is a server that is observed.
type Front struct {
	*telemetry.Observer

	// URL is its base URL, without a slash at the end.
	URL string
	// Handler is the served handler.
	Handler http.Handler

	client  *http.Client
	running atomic.Int64 // calls
}

// Sandbox runs the embedded upstream until the test ends, and returns its URL.
func Sandbox(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(sandbox.New())
	tb.Cleanup(s.Close)
	return s.URL
}

// Start runs a server before the upstream at a URL until the test ends, as which
// its observer is closed.
func Start(tb testing.TB, config telemetry.Config, upstreamURL string) *Front {
	tb.Helper()
	f := new(Front)
	var err error
	if f.Observer, err = telemetry.New(config); err != nil {
		tb.Fatal(err)
	}
	up, err := upstream.New(upstream.Config{BaseURL: upstreamURL})
	if err != nil {
		tb.Fatal(err)
	}
	sender := metering.New(policy.New(policy.Config{Next: f.Sender(f.Upstream(UpstreamName, up))}))
	interceptors, err := f.Interceptors()
	if err != nil {
		tb.Fatal(err)
	}
	rpc := connect.NewServer(interceptors...)
	if err := transcode.Register(rpc, transcode.Config{Upstream: sender}, chatv1.ChatServiceREST()); err != nil {
		tb.Fatal(err)
	}
	raw := passthrough.New(sender, passthrough.Options{})
	r := &router{rpcs: make(map[string]http.Handler), rest: raw}
	connecthttp.Mount(r, rpc, connecthttp.WithCodecs(transcode.Codecs()...))
	observed := request.NewClassifier(rpc, "").Wrap(f.Wrap(named(r)))
	f.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.running.Add(1)
		defer f.running.Add(-1)
		observed.ServeHTTP(w, r)
	})
	s := httptest.NewUnstartedServer(f.Handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	f.URL = s.URL
	f.client = &http.Client{Transport: &http.Transport{Protocols: protocols(false)}}
	tb.Cleanup(func() {
		f.client.CloseIdleConnections()
		raw.ShutdownWebSockets()
		s.Close()
		up.CloseIdleConnections()
		f.Close()
	})
	return f
}

func protocols(http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	return p
}

// HTTP returns a client for HTTP/1.1.
func (f *Front) HTTP() *http.Client { return f.client }

// Settle waits for requests in progress to end. A client may have received the whole
// response before that.
func (f *Front) Settle(tb testing.TB) {
	tb.Helper()
	Wait(tb, "the end of all calls", func() bool { return f.running.Load() == 0 })
}

// Address returns the HOST:PORT of the server.
func (f *Front) Address() string { return strings.TrimPrefix(f.URL, "http://") }

// Client returns a client for the RPCs, which speaks gRPC if it isn't Connect.
func (f *Front) Client(tb testing.TB, options ...connecthttp.Option) chatv1connect.ChatServiceClient {
	tb.Helper()
	transport := &http.Transport{Protocols: protocols(true)}
	tb.Cleanup(transport.CloseIdleConnections)
	return chatv1connect.NewChatServiceClient(connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: transport}, f.URL, options...)))
}

// router separates RPCs from other requests.
type router struct {
	rpcs map[string]http.Handler
	rest http.Handler
}

// Handle implements [connecthttp.ServeMux].
func (r *router) Handle(pattern string, handler http.Handler) {
	if !strings.HasSuffix(pattern, "/") {
		r.rpcs[pattern] = transcode.Bounds{}.Wrap(handler)
	}
}

// ServeHTTP implements [http.Handler].
func (r *router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if rpc := r.rpcs[request.URL.EscapedPath()]; rpc != nil {
		rpc.ServeHTTP(w, request)
		return
	}
	r.rest.ServeHTTP(w, request)
}

// TokenHeader names the client in place of a token.
const TokenHeader = "X-Test-Token"

// named sets the client of a request to the one named in a header. The client has a rule by
// model, so that package policy reads the model from raw requests.
func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.Header.Get(TokenHeader); name != "" {
			request.FromContext(r.Context()).Client = &clients.Client{Name: name, Models: clients.Patterns{"*"}}
			r.Header.Del(TokenHeader)
		}
		next.ServeHTTP(w, r)
	})
}

// Wait returns when a condition holds, which others are about to bring about.
func Wait(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within 10 seconds", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Refused is the address of a port where nothing listens.
func Refused(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Answer runs an upstream that answers everything alike until the test ends, and
// returns its URL.
func Answer(tb testing.TB, header http.Header, body string) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		_, _ = io.WriteString(w, body)
	}))
	tb.Cleanup(s.Close)
	return s.URL
}
