package server

import (
	"context"
	"net"
	"time"
)

// WithDial returns the configuration of a server that connects to its upstream
// by dial.
func WithDial(config Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) Config {
	config.dial = dial
	return config
}

// WithPingAfter returns listening with another time for which a connection of HTTP/2
// may be silent.
func WithPingAfter(listening Listening, silence time.Duration) Listening {
	listening.pingAfter = silence
	return listening
}
