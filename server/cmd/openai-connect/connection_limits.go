package main

import (
	"fmt"
	"time"
)

// connectionLimitsFlags bound what clients can hold on to.
type connectionLimitsFlags struct {
	ClientStallTimeout time.Duration `help:"How long a client may pause in a body that it sends, or in an answer that is ready for it. The time that a model takes does not count." default:"2m"`
	ClientIdleTimeout  time.Duration `help:"How long a client's connection may have nothing to do." default:"3m"`

	MaxConnections int `help:"Most connections of clients at a time. Further ones wait, and idle ones are closed for them." default:"12000"`
}

// check says what is wrong with the flags' values.
func (f *connectionLimitsFlags) check() error {
	const leastTimeout = time.Second // shorter ones would end calls of clients that aren't slow
	for _, bound := range []struct {
		flag  string
		value time.Duration
	}{
		{"client-stall-timeout", f.ClientStallTimeout},
		{"client-idle-timeout", f.ClientIdleTimeout},
	} {
		if bound.value < leastTimeout {
			return fmt.Errorf("--%s: %v is too short: give %v or more", bound.flag, bound.value, leastTimeout)
		}
	}
	const mostConnections = 1 << 20
	if f.MaxConnections < 1 || f.MaxConnections > mostConnections {
		return fmt.Errorf("--max-connections: %d is out of bounds: give a number from 1 to %d", f.MaxConnections, mostConnections)
	}
	return nil
}
