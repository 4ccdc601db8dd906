// Package httpserver is an HTTP server hardened against slow clients and large numbers
// of connections.
//
// It runs a [net/http.Server] and adds what that lacks:
//
//   - a limit of open connections, which closes idle ones first (listener.go);
//   - timeouts for clients that stop sending a body or stop reading a response, which
//     do not limit the duration of a request (conn.go, client_timeout.go,
//     client_timeout_http1.go, unread_responses.go);
//   - coalesced writes over HTTP/2 (coalesce.go);
//   - stricter request framing (request_smuggling.go, content_length.go);
//   - HTTP/1.0 responses that never look complete when they are truncated
//     (http10_truncation.go);
//   - the PROXY protocol (proxy_protocol.go);
//   - a graceful drain, and a maximum connection age, that lose no requests (drain.go,
//     serve.go).
//
// Its handlers form a chain, from the outside in:
//
//	advertise-close    announces the end of a connection to its client
//	coalesce-writes    combines small writes to HTTP/2 connections
//	client-timeouts    ends requests of clients that stop sending or reading
//	strict-framing     guards against ambiguous request lengths
//	http10-truncation  resets the connections of truncated HTTP/1.0 responses
//
// Several of these depend on undocumented behavior of net/http. Each assumption has a
// test of net/http itself in nethttp_assumptions_test.go.
package httpserver

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/internal/pipeline"
)

// Config configures a [Server].
type Config struct {
	// Handler handles the requests.
	Handler http.Handler

	// TrustedProxies are the proxies that speak the PROXY protocol, with
	// [Options.ProxyProtocol].
	TrustedProxies clientaddr.Proxies

	// OnDrain is called when a drain begins, before the drain delay.
	OnDrain func()

	// WebSockets are drained like requests.
	WebSockets WebSockets

	// Logger logs the server's events.
	Logger *slog.Logger
}

// WebSockets are the hijacked connections of a handler, which a [http.Server] does not
// track.
type WebSockets interface {
	// ShutdownWebSockets begins to close all connections, without waiting.
	ShutdownWebSockets()

	// WaitForWebSockets waits until all connections have ended. When ctx is done, it
	// closes the remaining ones and returns the error of ctx.
	WaitForWebSockets(ctx context.Context) error
}

// Server is an HTTP server. It can serve several listeners.
type Server struct {
	config Config
	stats  stats

	// closed is done when the server is closed.
	closed context.Context // for the lifetime of the server
	close  context.CancelFunc
}

// stats counts what clients make the server hold.
type stats struct {
	connections atomic.Int64 // open connections
	unread      atomic.Int64 // HTTP/2 responses whose handlers have returned
}

// New returns a server.
func New(config Config) *Server {
	s := &Server{config: config}
	s.closed, s.close = context.WithCancel(context.Background())
	return s
}

// Connections returns the number of open connections.
func (s *Server) Connections() int64 { return s.stats.connections.Load() }

// UnreadResponses returns the number of HTTP/2 responses that are complete but not
// yet read by their clients.
func (s *Server) UnreadResponses() int64 { return s.stats.unread.Load() }

// Close makes [Server.Serve] abort requests in progress and return, if it is draining.
func (s *Server) Close() { s.close() }

// ConnectionID returns a comparable value that identifies the connection of a request.
func ConnectionID(r *http.Request) any {
	if c := requestConn(r); c != nil {
		return c
	}
	return r.RemoteAddr
}

// layers returns the chain around the handler.
func layers(d *drainer, stallTimeout time.Duration) []pipeline.Layer[http.Handler] {
	return []pipeline.Layer[http.Handler]{
		{Name: "advertise-close", Wrap: d.advertiseClose},
		{Name: "coalesce-writes", Wrap: coalesceWrites},
		{Name: "client-timeouts", Wrap: func(next http.Handler) http.Handler { return clientTimeouts(next, stallTimeout) }},
		{Name: "strict-framing", Wrap: strictFraming},
		{Name: "http10-truncation", Wrap: resetUnfinished},
	}
}

// LayerNames returns the names of the layers around the handler, from the outside in.
func LayerNames() []string { return pipeline.Names(layers(new(drainer), 0)) }
