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

const (
	// readHeaderTimeout bounds the time that a client takes to send a request's
	// headers.
	readHeaderTimeout = 20 * time.Second

	// idleTimeout is how long a connection may have nothing to do.
	idleTimeout = 3 * time.Minute

	// maxStreams is how many calls a client may have open on one HTTP/2
	// connection. Clients queue those beyond it.
	maxStreams = 1000

	// pingAfter is how long an HTTP/2 connection may be silent until the client
	// has to show that it is still there.
	pingAfter = 30 * time.Second
)

// Listening configures [Server.Serve].
type Listening struct {
	// TLS, unless nil, has the certificate to serve HTTPS with.
	TLS *tls.Config

	// DrainTimeout bounds the time that calls have to end, once the context is
	// done. Those that still run then are cut off. Zero means that all are.
	DrainTimeout time.Duration
}

// Serve serves HTTP/1.1 and HTTP/2 on the listener, with TLS or without, until
// ctx is done. Then it takes no new connections, says by the health protocol
// that it is going, and lets calls end. It returns nil if all did.
func (s *Server) Serve(ctx context.Context, listener net.Listener, listening Listening) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(listening.TLS == nil)
	httpServer := &http.Server{
		Handler:           s,
		Protocols:         protocols,
		TLSConfig:         listening.TLS,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter},
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the upstream's to answer.
	}
	failed := make(chan error, 1)
	go func() {
		if listening.TLS != nil {
			failed <- httpServer.ServeTLS(listener, "", "")
			return
		}
		failed <- httpServer.Serve(listener)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.health.Stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), listening.DrainTimeout)
	defer cancel()
	err := httpServer.Shutdown(drain)
	if err != nil {
		err = errors.Join(fmt.Errorf("calls were cut off after %v: %w", listening.DrainTimeout, err), httpServer.Close())
	}
	<-failed //nolint:errcheck // http.ErrServerClosed
	return err
}
