package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/openai-connect/openai-connect/server/internal/pipeline"
)

// Serve serves HTTP/1.1 and HTTP/2 on the listener until ctx is done. It then shuts the
// server down in three steps, and returns nil if no request was aborted:
//
//  1. It calls OnDrain and continues to serve for the drain delay.
//  2. It stops accepting connections, sends GOAWAY on HTTP/2 connections, and shuts
//     down WebSockets.
//  3. It waits for requests and WebSockets to end. When the drain timeout expires, it
//     aborts all remaining requests and WebSockets.
//
// [Server.Close] ends the drain delay and the wait immediately. So does a failure of the
// listener during the delay.
func (s *Server) Serve(ctx context.Context, listener net.Listener, options Options) error {
	options, err := options.withDefaults()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	limitListener := newLimitListener(listener, options, &s.stats, s.config.Logger)
	drainer := new(drainer)
	httpServer := s.newHTTPServer(pipeline.Build(s.config.Handler, layers(drainer, options.StallTimeout)), limitListener, options)
	drainer.goAway, err = detachHTTP2(httpServer)
	if err != nil {
		return errors.Join(fmt.Errorf("set up HTTP/2: %w", err), listener.Close())
	}
	var acceptListener net.Listener = limitListener
	if options.ProxyProtocol {
		acceptListener = withProxyProtocol(limitListener, s.config.TrustedProxies, options.HeaderTimeout)
	}
	serveErr := make(chan error, 1)
	serving, cancelServing := context.WithCancel(s.closed) // done when Serve fails or the server is closed
	defer cancelServing()
	go func() {
		defer cancelServing()
		if options.TLS != nil {
			serveErr <- httpServer.ServeTLS(acceptListener, "", "")
			return
		}
		serveErr <- httpServer.Serve(acceptListener)
	}()
	select {
	case err := <-serveErr:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err = s.drain(serving, drainer, httpServer, limitListener, options)
	limitListener.waitForClosing()
	<-serveErr // because the listener is closed
	if err == nil {
		s.config.Logger.Info("drained")
	}
	return err
}

// newHTTPServer returns the [http.Server] for a listener.
func (s *Server) newHTTPServer(handler http.Handler, listener *limitListener, options Options) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(options.TLS == nil)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		TLSConfig:         options.TLS,
		ReadHeaderTimeout: options.HeaderTimeout,
		IdleTimeout:       options.IdleTimeout,
		MaxHeaderBytes:    options.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: options.MaxStreams, SendPingTimeout: options.SendPingTimeout},
		ConnState:         listener.connState,
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // the upstream answers "OPTIONS *"
	}
}
