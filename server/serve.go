package server

import (
	"cmp"
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

	// DrainDelay is for how long new calls and connections are still taken, once
	// the context is done, so that whoever balances the load learns of it before
	// the server turns anyone away. Answers over HTTP/1.1 then tell clients to
	// begin another connection.
	DrainDelay time.Duration

	// DrainTimeout bounds the time that calls have to end, once DrainDelay is
	// over. Those that still run then are cut off. Zero means that all are.
	DrainTimeout time.Duration

	// MaxConnectionAge is the age at which a client is told, with the next answer,
	// to begin another connection, where it may meet another server: by
	// "Connection: close" or GOAWAY. What runs on the old one goes on. It is
	// spread by a tenth. Less than a second makes clients of gRPC lose calls, as
	// they repeat one that crosses a GOAWAY only once. Zero means never.
	MaxConnectionAge time.Duration

	// ProxyProtocol has connections from [Config.TrustedProxies] begin with a header of
	// the PROXY protocol, v1 or v2, which has the client's address. They need one.
	ProxyProtocol bool

	// Limits are for clients that are slow, or many.
	Limits Limits

	// pingAfter, unless zero, is in place of the constant in a test.
	pingAfter time.Duration
}

// Serve serves HTTP/1.1 and HTTP/2 on the listener, with TLS or without, until
// ctx is done. Then it says by the health protocol and by [Server.Ready] that it is
// going; serves on for the drain delay; takes no new connections, says goodbye on
// those of HTTP/2 by GOAWAY and on each WebSocket by a close frame of status 1001;
// and lets calls end. It returns nil if all did.
func (s *Server) Serve(ctx context.Context, listener net.Listener, listening Listening) error {
	limits, err := listening.Limits.withDefaults()
	if err != nil {
		return errors.Join(fmt.Errorf("limits: %w", err), listener.Close())
	}
	connections := newConnections(listener, limits, s.logger)
	connections.maxAge, connections.held = listening.MaxConnectionAge, &s.held
	var leaving departure
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(listening.TLS == nil)
	httpServer := &http.Server{
		Handler:           leaving.announce(gatherFrames(limitStalls(strictFraming(resetUnended(s)), limits.StallTimeout))),
		Protocols:         protocols,
		TLSConfig:         listening.TLS,
		ReadHeaderTimeout: limits.HeaderTimeout,
		IdleTimeout:       limits.IdleTimeout,
		MaxHeaderBytes:    limits.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: limits.MaxStreams, SendPingTimeout: cmp.Or(listening.pingAfter, pingAfter)},
		ConnState:         connections.noteState,
		ConnContext:       withConnection,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the upstream's to answer.
	}
	leaving.goAway, err = separateHTTP2(httpServer) //nolint:contextcheck // what it waits for is nothing
	if err != nil {
		return errors.Join(fmt.Errorf("set up HTTP/2: %w", err), listener.Close())
	}
	var accepting net.Listener = connections
	if listening.ProxyProtocol {
		accepting = withProxyProtocol(connections, s.proxies, limits.HeaderTimeout)
	}
	failed := make(chan error, 1)
	go func() {
		if listening.TLS != nil {
			failed <- httpServer.ServeTLS(accepting, "", "")
			return
		}
		failed <- httpServer.Serve(accepting)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.health.Stop()
	leaving.begun.Store(true)
	s.logger.Info("going down", "calls", s.bounded.Stats().Running)
	time.Sleep(listening.DrainDelay)
	_ = connections.Close() // the kernel refuses new ones from now on
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), listening.DrainTimeout)
	defer cancel()
	s.passthrough.LeaveWebSockets()
	if listening.DrainDelay > 0 {
		leaving.leaveHTTP2(drain)
	}
	err = httpServer.Shutdown(drain)
	if left := s.passthrough.WaitForWebSockets(drain); err == nil {
		err = left
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("calls were cut off after %v: %w", listening.DrainTimeout, err), connections.cut(httpServer.Close))
	}
	connections.waitForParting()
	<-failed //nolint:errcheck // that the listener is closed
	if err == nil {
		s.logger.Info("all calls have ended")
	}
	return err
}

// Ready returns nil while the server takes calls, and once [Server.Serve] has been
// told to end why it should be sent none. So it does while no upstream can be sent
// requests, as [upstream.Upstream.Ready] says.
func (s *Server) Ready() error {
	if s.health.Stopped() {
		return errors.New("the server is going down")
	}
	var faults []error
	for _, up := range s.upstreams {
		err := up.Ready()
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
