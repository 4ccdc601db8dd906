package main

import (
	"fmt"

	"github.com/openai-connect/openai-connect/server/overload"
)

// overloadFlags bound what the server takes on at a time.
type overloadFlags struct {
	MaxCalls int `help:"Most calls at a time, of all clients. Open streams and WebSockets count." default:"12000"`
	MaxQueue int `help:"Most calls that wait for their turn. Further ones are refused at once, and told when to come back." default:"1000"`
}

// check says what is wrong with the flags' values.
func (f *overloadFlags) check() error {
	for _, bound := range []struct {
		flag               string
		value, least, most int
	}{
		{"max-calls", f.MaxCalls, 1, 1 << 20},
		{"max-queue", f.MaxQueue, 0, 1 << 20},
	} {
		if bound.value < bound.least || bound.value > bound.most {
			return fmt.Errorf("--%s: %d is out of bounds: give a number from %d to %d", bound.flag, bound.value, bound.least, bound.most)
		}
	}
	return nil
}

// config is that of the handler, but for whom it serves in any case and how it
// refuses.
func (f *overloadFlags) config() *overload.Config {
	return &overload.Config{MaxCalls: f.MaxCalls, MaxQueue: f.MaxQueue, QueueTimeout: overload.DefaultQueueTimeout}
}
