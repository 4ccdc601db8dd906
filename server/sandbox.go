package server

import (
	"net"
	"net/http"
	"time"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

// sandboxServer serves the sandbox on a loopback port, so that it is reached like any
// other upstream.
type sandboxServer struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

func startSandbox() (*sandboxServer, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	s := &sandboxServer{
		listener: listener,
		server:   &http.Server{Handler: sandbox.New(), ReadHeaderTimeout: time.Minute},
		done:     make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(listener)
	}()
	return s, nil
}

func (s *sandboxServer) url() string { return "http://" + s.listener.Addr().String() }

func (s *sandboxServer) close() error {
	err := s.server.Close()
	<-s.done
	return err
}
