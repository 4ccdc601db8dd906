package acmetest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Gate is a port that forwards to an address while it is open and closes every
// connection while it is shut.
type Gate struct {
	listener net.Listener

	mu      sync.Mutex
	address string
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
}

// newGate returns a shut gate that exists until the test ends.
func newGate(tb testing.TB) *Gate {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := &Gate{listener: listener, conns: make(map[net.Conn]struct{})}
	g.running.Go(g.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		g.Shut()
		g.running.Wait()
	})
	return g
}

// Open makes the gate forward to the address.
func (g *Gate) Open(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.address = address
}

// Shut shuts the gate and closes its connections.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.address = ""
	for conn := range g.conns {
		_ = conn.Close()
	}
}

func (g *Gate) port() int { return g.listener.Addr().(*net.TCPAddr).Port }

func (g *Gate) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.running.Go(func() { g.forward(conn) })
	}
}

func (g *Gate) forward(conn net.Conn) {
	defer conn.Close()
	g.mu.Lock()
	address := g.address
	g.mu.Unlock()
	if address == "" {
		return
	}
	onward, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer onward.Close()
	if !g.keep(conn, onward) {
		return
	}
	defer g.forget(conn, onward)
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{conn, onward}, {onward, conn}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].(*net.TCPConn).CloseWrite()
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}

// keep registers connections that Shut closes. It returns false if the gate is shut.
func (g *Gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range conns {
		g.conns[conn] = struct{}{}
	}
	return g.address != ""
}

func (g *Gate) forget(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range conns {
		delete(g.conns, conn)
	}
}
