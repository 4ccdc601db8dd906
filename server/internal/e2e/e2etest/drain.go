package e2etest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// StartWithDrainTimeout starts a server with a drain timeout. It returns a function that
// shuts the server down, and the result of Serve.
func StartWithDrainTimeout(t *testing.T, drain time.Duration, upstream string) (front *servertest.Front, stop context.CancelFunc, result <-chan error) {
	t.Helper()
	s, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served, left := make(chan error, 1), make(chan struct{})
	go func() {
		served <- s.Serve(ctx, listener, server.ServeConfig{DrainTimeout: drain})
		close(left)
	}()
	t.Cleanup(func() {
		stop()
		<-left
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	return &servertest.Front{Server: s, Address: address, URL: "http://" + address}, stop, served
}
