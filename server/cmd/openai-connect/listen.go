package main

import (
	"context"
	"net"
	"net/netip"
)

// listenOn listens on HOST:PORT. An IPv4 address means IPv4 only, while package net
// takes 0.0.0.0 to mean both families. Without a host, and for [::], it listens on all
// families that the machine has.
func listenOn(ctx context.Context, address string) (net.Listener, error) {
	network := "tcp"
	if host, port, err := net.SplitHostPort(address); err == nil {
		switch ip, err := netip.ParseAddr(host); {
		case err == nil && ip.Unmap().Is4():
			network = "tcp4"
		case err == nil && ip == netip.IPv6Unspecified():
			address = net.JoinHostPort("", port)
		}
	}
	return new(net.ListenConfig).Listen(ctx, network, address)
}
