// Package load generates the benchmark's load in each protocol: sequential unary requests
// on several connections, and concurrent event streams.
package load

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// Protocol is the protocol of a client.
type Protocol string

// The protocols of clients.
const (
	REST     Protocol = "REST"     // JSON and Server-Sent Events over HTTP/1.1
	Connect  Protocol = "Connect"  // typed, over HTTP/1.1
	GRPCWeb  Protocol = "gRPC-Web" // typed, over HTTP/1.1
	GRPC     Protocol = "gRPC"     // typed, over HTTP/2
	Vanguard Protocol = "vanguard" // gRPC to baselines/vanguard, over HTTP/2; only unary
)

// Call sends a unary request and reads the response.
type Call func(context.Context) error

// Stream is an open event stream.
type Stream interface {
	// Next returns the next event. It returns io.EOF at the end of a complete stream, and
	// another error if the stream was cut short.
	Next() (fixture.Event, error)
	Close() error
}

// Client sends requests to a contender.
type Client struct {
	// Call sends a unary request.
	Call Call
	// Open opens a stream with an interval between events. It is nil if the protocol does
	// not support streams.
	Open func(ctx context.Context, interval time.Duration) (Stream, error)
	// Close closes the connections.
	Close func()
	// Read counts the bytes received on connections of streams.
	Read *atomic.Int64
}

// NewClient returns a client for up to a number of concurrent calls.
func NewClient(protocol Protocol, address string, calls int) (*Client, error) {
	switch protocol {
	case REST:
		return newREST(address, calls), nil
	case Connect, GRPCWeb, GRPC:
		return newTyped(protocol, address, calls)
	case Vanguard:
		return newVanguard(address, calls)
	}
	return nil, fmt.Errorf("unknown protocol: %q", protocol)
}

// dialer counts the bytes received on its connections.
type dialer struct{ read *atomic.Int64 }

func (d dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return countingConn{conn, d.read}, nil
}

type countingConn struct {
	net.Conn

	read *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}
