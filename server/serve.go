package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Listening configures [Server.Serve].
type Listening struct {
	// TLS, unless nil, has the certificate to serve HTTPS with.
	TLS *tls.Config

	// DrainTimeout bounds the time that calls have to end, once the context is
	// done. Those that still run then are cut off. Zero means that all are.
	DrainTimeout time.Duration

	// Limits are for clients that are slow, or many.
	Limits Limits
}

// Serve serves HTTP/1.1 and HTTP/2 on the listener, with TLS or without, until
// ctx is done. Then it takes no new connections, says by the health protocol
// that it is going and on each WebSocket by a close frame of status 1001, and
// lets calls end. It returns nil if all did.
func (s *Server) Serve(ctx context.Context, listener net.Listener, listening Listening) error {
	limits, err := listening.Limits.withDefaults()
	if err != nil {
		return errors.Join(fmt.Errorf("limits: %w", err), listener.Close())
	}
	connections := newConnections(listener, limits, s.logger)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(listening.TLS == nil)
	httpServer := &http.Server{
		Handler:           gatherFrames(strictFraming(limitStalls(s, limits.StallTimeout))),
		Protocols:         protocols,
		TLSConfig:         listening.TLS,
		ReadHeaderTimeout: limits.HeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    limits.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: limits.MaxStreams, SendPingTimeout: pingAfter},
		ConnState:         connections.noteState,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the upstream's to answer.
	}
	failed := make(chan error, 1)
	go func() {
		if listening.TLS != nil {
			failed <- httpServer.ServeTLS(connections, "", "")
			return
		}
		failed <- httpServer.Serve(connections)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.health.Stop()
	s.passthrough.LeaveWebSockets()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), listening.DrainTimeout)
	defer cancel()
	err = httpServer.Shutdown(drain)
	if left := s.passthrough.WaitForWebSockets(drain); err == nil {
		err = left
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("calls were cut off after %v: %w", listening.DrainTimeout, err), httpServer.Close())
	}
	connections.waitForParting()
	<-failed //nolint:errcheck // http.ErrServerClosed
	return err
}
