package httpserver

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"time"
)

// Defaults of [Options]. They suit one small machine: an idle connection, or one that
// is sending a small header, takes about 20 KB; one that is sending a body takes about
// 70 KB. Operators who expect hostile clients should lower MaxConnections.
const (
	DefaultDrainTimeout    = 30 * time.Second
	DefaultHeaderTimeout   = 20 * time.Second
	DefaultStallTimeout    = 2 * time.Minute
	DefaultIdleTimeout     = 3 * time.Minute
	DefaultSendPingTimeout = 30 * time.Second
	DefaultMaxHeaderBytes  = 128 << 10
	DefaultMaxConnections  = 12000
	DefaultMaxStreams      = 1000
)

// Options are the settings of [Server.Serve]. The fields are those of ServeConfig in
// package server, which documents them, in the same order.
type Options struct {
	TLS *tls.Config

	DrainDelay       time.Duration
	DrainTimeout     time.Duration
	MaxConnectionAge time.Duration
	ProxyProtocol    bool

	HeaderTimeout   time.Duration
	StallTimeout    time.Duration
	IdleTimeout     time.Duration
	SendPingTimeout time.Duration
	MaxHeaderBytes  int
	MaxConnections  int
	MaxStreams      int
}

// withDefaults returns the options with their defaults filled in.
func (o Options) withDefaults() (Options, error) {
	for _, field := range []struct {
		name     string
		negative bool
	}{
		{"DrainDelay", o.DrainDelay < 0},
		{"MaxConnectionAge", o.MaxConnectionAge < 0},
		{"HeaderTimeout", o.HeaderTimeout < 0},
		{"StallTimeout", o.StallTimeout < 0},
		{"IdleTimeout", o.IdleTimeout < 0},
		{"SendPingTimeout", o.SendPingTimeout < 0},
		{"MaxHeaderBytes", o.MaxHeaderBytes < 0},
		{"MaxConnections", o.MaxConnections < 0},
		{"MaxStreams", o.MaxStreams < 0},
	} {
		if field.negative {
			return o, fmt.Errorf("invalid %s: must not be negative; use zero for the default", field.name)
		}
	}
	o.DrainTimeout = max(0, cmp.Or(o.DrainTimeout, DefaultDrainTimeout))
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, DefaultHeaderTimeout)
	o.StallTimeout = cmp.Or(o.StallTimeout, DefaultStallTimeout)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, DefaultIdleTimeout)
	o.SendPingTimeout = cmp.Or(o.SendPingTimeout, DefaultSendPingTimeout)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, DefaultMaxHeaderBytes)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.MaxStreams = cmp.Or(o.MaxStreams, DefaultMaxStreams)
	return o, nil
}
