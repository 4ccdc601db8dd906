package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// goAwayGrace is the time between GOAWAY and the end of an HTTP/2 connection without
// open streams. Requests that the client sends before it has read the GOAWAY are still
// served.
const goAwayGrace = time.Second

// drainer makes clients move to another connection, because the server shuts down or
// the connection has reached its maximum age.
//
// A request that is sent just as the server closes an idle connection is lost, and the
// client cannot know whether it was processed (RFC 9112 §9.5). So the previous response
// must announce the close: with "Connection: close" over HTTP/1.1 (RFC 9112 §9.6), with
// GOAWAY over HTTP/2 (RFC 9113 §6.8).
type drainer struct {
	started atomic.Bool

	// goAway sends GOAWAY on every HTTP/2 connection, without waiting.
	goAway func()
}

// advertiseClose returns a handler whose responses announce that their connection
// accepts no further requests. net/http translates "Connection: close" to GOAWAY over
// HTTP/2. A server that shuts down sends GOAWAY later, when load balancers have turned
// away, because some cannot retry requests that cross it.
func (d *drainer) advertiseClose(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := requestConn(r)
		if c != nil && c.isExpired() || r.ProtoMajor == 1 && d.started.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// drain shuts the server down: it waits for the drain delay, closes the listener, makes
// clients leave, and waits for requests in progress until the drain timeout. The delay
// ends early with serving.
func (s *Server) drain(serving context.Context, drainer *drainer, httpServer *http.Server, listener *limitListener, options Options) error {
	drainer.started.Store(true)
	s.config.OnDrain()
	sleep(serving, options.DrainDelay)
	_ = listener.Close() // the kernel rejects new connections from now on
	draining, cancel := context.WithTimeout(s.closed, options.DrainTimeout)
	defer cancel()
	s.config.WebSockets.ShutdownWebSockets()
	if options.DrainDelay > 0 {
		drainer.goAwayHTTP2(draining)
	}
	err := httpServer.Shutdown(draining)
	if webSocketsErr := s.config.WebSockets.WaitForWebSockets(draining); err == nil {
		err = webSocketsErr
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("aborted requests in progress after %v: %w", options.DrainTimeout, err), listener.abort(httpServer.Close))
	}
	return err
}

// goAwayHTTP2 sends GOAWAY on every HTTP/2 connection and waits until clients have had
// time to read it, or ctx is done.
func (d *drainer) goAwayHTTP2(ctx context.Context) {
	d.goAway()
	sleep(ctx, goAwayGrace)
}

// sleep waits for a duration, or until ctx is done.
func sleep(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// detachHTTP2 makes s use the HTTP/2 implementation of a second [http.Server], and
// returns a function that sends GOAWAY on all of its connections. [http.Server.Shutdown]
// of s would close idle connections at the same time. The second server has the same
// settings as s, and a write deadline for each stream.
func detachHTTP2(s *http.Server) (goAway func(), err error) {
	second := &http.Server{
		Protocols:      s.Protocols,
		IdleTimeout:    s.IdleTimeout,
		MaxHeaderBytes: s.MaxHeaderBytes,
		HTTP2:          s.HTTP2,
		ConnState:      s.ConnState,
		ErrorLog:       s.ErrorLog,
		WriteTimeout:   streamTimeout,
	}
	if err := second.Serve(closedListener{}); !errors.Is(err, net.ErrClosed) {
		return nil, err
	}
	s.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	for protocol, serve := range second.TLSNextProto {
		s.TLSNextProto[protocol] = func(_ *http.Server, conn *tls.Conn, handler http.Handler) { serve(second, conn, handler) }
	}
	goAway = func() { _ = second.Shutdown(context.Background()) } // it tracks no connections, so it does not wait
	s.RegisterOnShutdown(goAway)
	return goAway, nil
}

// closedListener is a closed [net.Listener].
type closedListener struct{}

// Accept implements [net.Listener].
func (closedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }

// Close implements [net.Listener].
func (closedListener) Close() error { return nil }

// Addr implements [net.Listener].
func (closedListener) Addr() net.Addr { return new(net.TCPAddr) }

// jitter returns an age between 90% and 110% of the given one, so that connections
// that were opened together do not expire together.
func jitter(age time.Duration) time.Duration {
	return time.Duration(float64(age) * (0.9 + 0.2*rand.Float64()))
}
