package server

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// goAwayGrace is the time that a client has between the word that an HTTP/2
// connection takes no more calls and the end of the connection, if no call is open
// on it. What it sends before it has read that word is answered still.
const goAwayGrace = time.Second

// departure has clients move on to another connection, when the server is going
// down or theirs is old, without closing one under their feet.
//
// A request that is sent just when the server closes an idle connection is lost,
// and a client can't know whether it was acted on (RFC 9112 §9.5). So the answer
// before has to say that there won't be another one: by "Connection: close" over
// HTTP/1.1 (RFC 9112 §9.6), by GOAWAY over HTTP/2 (RFC 9113 §6.8).
type departure struct {
	begun atomic.Bool

	// goAway sends GOAWAY on every connection of HTTP/2. It doesn't wait.
	goAway func()
}

// announce returns a handler whose answers say that their connection takes no
// more. An answer of HTTP/2 that says so makes net/http send GOAWAY: a server that
// goes down does that later, when those who balance loads have turned away, as some
// don't know how to repeat the calls that cross it.
func (d *departure) announce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connectionKey{}).(*connection)
		if c != nil && c.isOld() || r.ProtoMajor == 1 && d.begun.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// leaveHTTP2 sends GOAWAY on every connection of HTTP/2, and gives clients the time
// to read it unless drain is done before.
func (d *departure) leaveHTTP2(drain context.Context) {
	d.goAway()
	timer := time.NewTimer(goAwayGrace)
	defer timer.Stop()
	select {
	case <-drain.Done():
	case <-timer.C:
	}
}

// streamTimeout is how long a stream of HTTP/2 may be open, until [limitStalls] puts
// its deadline off. So it bounds the answers that net/http gives by itself: to a
// header that is malformed, or too large. It has to be many times as long as it takes
// to put it off.
const streamTimeout = time.Minute

// separateHTTP2 gives s the HTTP/2 of another [http.Server], and returns how to
// send GOAWAY on all of its connections: [http.Server.Shutdown] closes those that
// are idle while it does, this doesn't. The other server is like s, but that its
// streams have a deadline to begin with.
func separateHTTP2(s *http.Server) (goAway func(), err error) {
	other := &http.Server{ //nolint:gosec // it reads no headers itself
		Protocols:      s.Protocols,
		IdleTimeout:    s.IdleTimeout,
		MaxHeaderBytes: s.MaxHeaderBytes,
		HTTP2:          s.HTTP2,
		ConnState:      s.ConnState,
		ErrorLog:       s.ErrorLog,
		WriteTimeout:   streamTimeout,
	}
	if err := other.Serve(noListener{}); !errors.Is(err, net.ErrClosed) {
		return nil, err
	}
	s.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	for protocol, serve := range other.TLSNextProto {
		s.TLSNextProto[protocol] = func(_ *http.Server, conn *tls.Conn, handler http.Handler) { serve(other, conn, handler) }
	}
	goAway = func() { _ = other.Shutdown(context.Background()) } // it has no connections of its own to wait for
	s.RegisterOnShutdown(goAway)
	return goAway, nil
}

// noListener is a [net.Listener] that is closed.
type noListener struct{}

// Accept implements [net.Listener].
func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }

// Close implements [net.Listener].
func (noListener) Close() error { return nil }

// Addr implements [net.Listener].
func (noListener) Addr() net.Addr { return new(net.TCPAddr) }

// spread returns an age between nine and eleven tenths of the one given, so that
// connections that began together don't end together.
func spread(age time.Duration) time.Duration {
	return time.Duration(float64(age) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // no secret
}
