package main

import (
	"fmt"
	"time"

	"github.com/openai-connect/openai-connect/server"
)

// limitsFlags bound what clients can hold on to.
type limitsFlags struct {
	ClientHeaderTimeout time.Duration `help:"Bound on the time that a client takes to send a request's header." default:"20s"`
	ClientStallTimeout  time.Duration `help:"Bound on the time for which a client sends nothing of a body that it has begun, or takes nothing of an answer that is ready." default:"2m"`
	ClientIdleTimeout   time.Duration `help:"How long a client's connection may have nothing to do." default:"3m"`

	MaxHeaderBytes int `help:"Largest header of a request." default:"131072"`
	MaxConnections int `help:"Most connections of clients at a time. Further ones wait, and idle ones are closed for them." default:"12000"`
	MaxStreams     int `help:"Most calls at a time on one connection of HTTP/2." default:"1000"`
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
			return fmt.Errorf("--%s: %v is too short", bound.flag, bound.value)
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
			return fmt.Errorf("--%s: %d is not from %d to %d", bound.flag, bound.value, bound.least, bound.most)
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
