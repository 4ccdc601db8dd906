package server

import (
	"cmp"
	"fmt"
	"time"
)

// Defaults of [Limits]. They suit one small machine: a connection that is silent,
// idle or in the middle of a small header takes some 20 KB, one in the middle of
// a body some 70. Whoever faces clients that mean harm lowers MaxConnections.
const (
	DefaultHeaderTimeout  = 20 * time.Second
	DefaultStallTimeout   = 2 * time.Minute
	DefaultIdleTimeout    = 3 * time.Minute
	DefaultMaxHeaderBytes = 128 << 10
	DefaultMaxConnections = 12000
	DefaultMaxStreams     = 1000
)

// pingAfter is how long an HTTP/2 connection may be silent until the client has
// to show that it is still there.
const pingAfter = 30 * time.Second

// Limits bound what a client can hold on to without making use of it. None of
// them counts the time that a model takes: a call whose client has sent its
// request and reads what comes may last as long as it does.
type Limits struct {
	// HeaderTimeout bounds the time that a client takes to send a request's
	// header, and before that for the TLS handshake. The connection is closed
	// then. Zero means [DefaultHeaderTimeout].
	HeaderTimeout time.Duration

	// StallTimeout bounds the time for which a client may send nothing of a body
	// that it has begun, or take nothing of an answer that is ready for it. The
	// former is answered with status 408, after the latter the connection, or
	// the stream of HTTP/2, is reset. It may take up to a quarter longer. Zero
	// means [DefaultStallTimeout].
	StallTimeout time.Duration

	// IdleTimeout is how long a connection may have nothing to do. Zero means
	// [DefaultIdleTimeout].
	IdleTimeout time.Duration

	// MaxHeaderBytes bounds a request's line and header fields; net/http adds
	// some slack. What is larger is answered with status 431. Zero means
	// [DefaultMaxHeaderBytes].
	MaxHeaderBytes int

	// MaxConnections bounds the connections that are open at a time. For a
	// further one the connection is closed that has had nothing to do for the
	// longest time, and where all have, it waits. Zero means
	// [DefaultMaxConnections].
	MaxConnections int

	// MaxStreams bounds the calls that a client has open on one connection of
	// HTTP/2. Clients queue those beyond it. Zero means [DefaultMaxStreams].
	MaxStreams int
}

// withDefaults returns the limits with their defaults filled in.
func (l Limits) withDefaults() (Limits, error) {
	for _, limit := range []struct {
		name     string
		negative bool
	}{
		{"HeaderTimeout", l.HeaderTimeout < 0},
		{"StallTimeout", l.StallTimeout < 0},
		{"IdleTimeout", l.IdleTimeout < 0},
		{"MaxHeaderBytes", l.MaxHeaderBytes < 0},
		{"MaxConnections", l.MaxConnections < 0},
		{"MaxStreams", l.MaxStreams < 0},
	} {
		if limit.negative {
			return l, fmt.Errorf("%s is negative: give a positive value, or zero for the default", limit.name)
		}
	}
	return Limits{
		HeaderTimeout:  cmp.Or(l.HeaderTimeout, DefaultHeaderTimeout),
		StallTimeout:   cmp.Or(l.StallTimeout, DefaultStallTimeout),
		IdleTimeout:    cmp.Or(l.IdleTimeout, DefaultIdleTimeout),
		MaxHeaderBytes: cmp.Or(l.MaxHeaderBytes, DefaultMaxHeaderBytes),
		MaxConnections: cmp.Or(l.MaxConnections, DefaultMaxConnections),
		MaxStreams:     cmp.Or(l.MaxStreams, DefaultMaxStreams),
	}, nil
}
