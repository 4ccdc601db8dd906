package main

import (
	"fmt"
	"time"

	"github.com/openai-connect/openai-connect/server"
)

// limitsFlags bound what clients can hold on to.
type limitsFlags struct {
	ClientHeaderTimeout time.Duration `help:"How long a client may take to send a request's header." default:"20s"`
	ClientStallTimeout  time.Duration `help:"How long a client may pause in a body that it sends, or in an answer that is ready for it. The time that a model takes does not count." default:"2m"`
	ClientIdleTimeout   time.Duration `help:"How long a client's connection may have nothing to do." default:"3m"`

	MaxHeaderBytes int `help:"Largest header of a request, all fields together, in bytes." default:"131072"`
	MaxConnections int `help:"Most connections of clients at a time. Further ones wait, and idle ones are closed for them." default:"12000"`
	MaxStreams     int `help:"Most calls at a time on one HTTP/2 connection." default:"1000"`
}

// check says what is wrong with the flags' values.
func (f *limitsFlags) check() error {
	const leastTimeout = time.Second // shorter ones would end calls of clients that aren't slow
	for _, bound := range []struct {
		flag  string
		value time.Duration
	}{
		{"client-header-timeout", f.ClientHeaderTimeout},
		{"client-stall-timeout", f.ClientStallTimeout},
		{"client-idle-timeout", f.ClientIdleTimeout},
	} {
		if bound.value < leastTimeout {
			return fmt.Errorf("--%s: %v is too short: give %v or more", bound.flag, bound.value, leastTimeout)
		}
	}
	for _, bound := range []struct {
		flag               string
		value, least, most int
	}{
		{"max-header-bytes", f.MaxHeaderBytes, 4 << 10, 16 << 20},
		{"max-connections", f.MaxConnections, 1, 1 << 20},
		{"max-streams", f.MaxStreams, 1, 1 << 20},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return fmt.Errorf("--%s: %d is out of bounds: give a number from %d to %d", bound.flag, bound.value, bound.least, bound.most)
		}
	}
	return nil
}

func (f *limitsFlags) limits() server.Limits {
	return server.Limits{
		HeaderTimeout:  f.ClientHeaderTimeout,
		StallTimeout:   f.ClientStallTimeout,
		IdleTimeout:    f.ClientIdleTimeout,
		MaxHeaderBytes: f.MaxHeaderBytes,
		MaxConnections: f.MaxConnections,
		MaxStreams:     f.MaxStreams,
	}
}
