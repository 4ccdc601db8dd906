package server

import (
	"context"
	"net"
)

// WithDial returns the configuration of a server that connects to its upstream
// by dial.
func WithDial(config Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) Config {
	config.dial = dial
	return config
}
