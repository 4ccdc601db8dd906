// Package load is the benchmark's client: requests one after another on some
// connections, and many event streams at once, in each form that a subject
// speaks.
package load

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/answer"
)

// Form is the form of a call.
type Form string

// The forms of a call.
const (
	REST     Form = "REST"     // JSON and Server-Sent Events over HTTP/1.1
	Connect  Form = "Connect"  // typed, over HTTP/1.1
	GRPCWeb  Form = "gRPC-Web" // typed, over HTTP/1.1
	GRPC     Form = "gRPC"     // typed, over HTTP/2
	Vanguard Form = "vanguard" // gRPC to peers/vanguard, over HTTP/2; unary alone
)

// Call makes one request and reads its answer.
type Call func(context.Context) error

// Stream is an event stream that was opened.
type Stream interface {
	// Next returns the next event. It returns io.EOF where the stream ended as a
	// complete one does, and another error where it was cut short.
	Next() (answer.Event, error)
	Close() error
}

// Client calls a subject.
type Client struct {
	// Call makes a unary request.
	Call Call
	// Open opens a stream, whose events come at that interval. It is nil where
	// the form has no streams.
	Open func(ctx context.Context, interval time.Duration) (Stream, error)
	// Close ends the connections.
	Close func()
	// Read counts the bytes of all connections of streams that were received.
	Read *atomic.Int64
}

// NewClient returns a client that makes up to so many calls at a time.
func NewClient(form Form, address string, calls int) (*Client, error) {
	switch form {
	case REST:
		return newREST(address, calls), nil
	case Connect, GRPCWeb, GRPC:
		return newTyped(form, address, calls)
	case Vanguard:
		return newVanguard(address, calls)
	}
	return nil, fmt.Errorf("no form of a call: %q", form)
}

// dialer connects, and counts the bytes that its connections receive.
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
