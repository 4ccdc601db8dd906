package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpserver"
)

// Defaults of [ServeConfig].
const (
	DefaultDrainTimeout    = httpserver.DefaultDrainTimeout
	DefaultHeaderTimeout   = httpserver.DefaultHeaderTimeout
	DefaultStallTimeout    = httpserver.DefaultStallTimeout
	DefaultIdleTimeout     = httpserver.DefaultIdleTimeout
	DefaultSendPingTimeout = httpserver.DefaultSendPingTimeout
	DefaultMaxHeaderBytes  = httpserver.DefaultMaxHeaderBytes
	DefaultMaxConnections  = httpserver.DefaultMaxConnections
	DefaultMaxStreams      = httpserver.DefaultMaxStreams
)

// ServeConfig configures [Server.Serve]. The zero value serves without TLS.
//
// No timeout limits the duration of a request: one whose client has sent its body and
// reads the response may last as long as the model takes.
type ServeConfig struct {
	// TLS, unless nil, contains the certificate for HTTPS.
	TLS *tls.Config

	// DrainDelay is the time to keep accepting requests and connections after the
	// context is done, while [Server.Ready] reports an error, so that load balancers
	// can react. HTTP/1.1 responses then ask clients to open another connection.
	DrainDelay time.Duration

	// DrainTimeout limits the time that requests in progress have to end after
	// DrainDelay. Remaining ones are aborted. Zero means [DefaultDrainTimeout], and a
	// negative value means no time at all.
	DrainTimeout time.Duration

	// MaxConnectionAge is the age at which a response asks its client to open another
	// connection, where it may reach another server: with "Connection: close" or
	// GOAWAY. Requests in progress continue. The age varies by 10%. With less than a
	// second, gRPC clients lose requests, because they retry one that crosses a GOAWAY
	// only once. Zero means no maximum.
	MaxConnectionAge time.Duration

	// ProxyProtocol makes connections from [Config.TrustedProxies] begin with a PROXY
	// protocol header, v1 or v2, which contains the client's address. Connections from
	// there without the header are rejected.
	ProxyProtocol bool

	// HeaderTimeout limits the time to send a request's header, and the time of the TLS
	// handshake. The connection is then closed. Zero means [DefaultHeaderTimeout].
	HeaderTimeout time.Duration

	// StallTimeout limits the time for which a client may send nothing of an unfinished
	// body, or read nothing of a response that is ready for it. A stalled request is
	// answered with status 408. A stalled response resets the connection, or the HTTP/2
	// stream, after up to a quarter longer. Zero means [DefaultStallTimeout].
	StallTimeout time.Duration

	// IdleTimeout limits the time between requests on a connection. Zero means
	// [DefaultIdleTimeout].
	IdleTimeout time.Duration

	// SendPingTimeout is the time after which a silent HTTP/2 connection is probed with
	// a PING. Zero means [DefaultSendPingTimeout].
	SendPingTimeout time.Duration

	// MaxHeaderBytes limits a request's line and header; net/http adds some slack.
	// Larger ones are answered with status 431. Zero means [DefaultMaxHeaderBytes].
	MaxHeaderBytes int

	// MaxConnections limits the open connections. At the limit, the connection that has
	// been idle longest is closed for a new one. If none is idle, the new one waits.
	// Zero means [DefaultMaxConnections].
	MaxConnections int

	// MaxStreams limits the open streams of one HTTP/2 connection. Clients queue
	// further ones. Zero means [DefaultMaxStreams].
	MaxStreams int
}

// Serve serves HTTP/1.1 and HTTP/2 on the listener, with or without TLS, until ctx is
// done. It then drains the server, and returns nil if all requests ended in time:
//
//  1. The health service and [Server.Ready] report that the server shuts down. It
//     continues to serve for the drain delay.
//  2. It stops accepting connections, sends GOAWAY on HTTP/2 connections, and a close
//     frame with status 1001 on WebSockets.
//  3. It waits for requests in progress. After the drain timeout it aborts them.
//
// [Server.Close] ends the drain at once.
func (s *Server) Serve(ctx context.Context, listener net.Listener, config ServeConfig) error {
	return s.http.Serve(ctx, listener, httpserver.Options(config))
}

// onDrain is called when a drain begins.
func (s *Server) onDrain() {
	s.health.Stop()
	s.logger.Info("draining", "requests", s.overload.Stats().Running)
}

// Ready returns nil while the server accepts requests. It returns an error while the
// server drains, and while no upstream can be sent requests, as
// [upstream.Upstream.Ready] reports.
func (s *Server) Ready() error {
	if s.health.Stopped() {
		return errors.New("the server is shutting down")
	}
	var errs []error
	for _, up := range s.upstreams {
		err := up.Ready()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
