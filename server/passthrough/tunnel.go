package passthrough

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/internal/wsframe"
)

// closeGrace is how long one side of a WebSocket may take to close its connection after the
// other side, or this server, has closed.
const closeGrace = 5 * time.Second

// stream is one side of a tunnel.
type stream = httpx.Duplex

// tunnel is an established WebSocket. It forwards bytes as they arrive and has no idle
// timeout.
type tunnel struct {
	upstream     stream
	shuttingDown atomic.Bool
	ended        chan struct{} // closed when the tunnel has ended

	mu         sync.Mutex
	client     stream      // guarded by mu: nil until set
	closed     bool        // guarded by mu
	closeTimer *time.Timer // guarded by mu: nil until one side has closed
}

func newTunnel(upstream stream) *tunnel {
	return &tunnel{upstream: upstream, ended: make(chan struct{})}
}

// run copies in both directions until both sides have closed or ctx is done.
func (t *tunnel) run(ctx context.Context, client stream) {
	defer t.close()
	defer context.AfterFunc(ctx, t.close)()
	t.setClient(client)
	var sending sync.WaitGroup
	sending.Go(func() { t.closeDirection(t.upstream, t.copy(client, t.upstream, true)) })
	t.closeDirection(client, t.copy(t.upstream, client, false))
	sending.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closeTimer != nil {
		t.closeTimer.Stop()
	}
}

// setClient sets the client side. The tunnel may have been closed or shut down before.
func (t *tunnel) setClient(client stream) {
	t.mu.Lock()
	t.client = client
	closed := t.closed
	t.mu.Unlock()
	if closed {
		_ = client.Close()
	}
	if t.shuttingDown.Load() {
		t.shutdown()
	}
}

// closeDirection closes one direction. The other one remains open for a close frame, unless
// the client has left, which ends both.
func (t *tunnel) closeDirection(to stream, err error) {
	if err != nil || to.CloseWrite() != nil {
		t.close()
		return
	}
	t.startCloseTimer()
}

// startCloseTimer closes the tunnel after closeGrace.
func (t *tunnel) startCloseTimer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closeTimer == nil {
		t.closeTimer = time.AfterFunc(closeGrace, t.close)
	}
}

// close ends the tunnel at once.
func (t *tunnel) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	_ = t.upstream.Close()
	if t.client != nil {
		_ = t.client.Close()
	}
}

// shutdown starts the closing handshake (RFC 6455 §7.1) with both sides: each receives a
// close frame after the current frame, and has closeGrace to send its own.
func (t *tunnel) shutdown() {
	t.shuttingDown.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return
	}
	// This wakes up blocked reads.
	_ = t.upstream.SetReadDeadline(time.Unix(1, 0))
	_ = t.client.SetReadDeadline(time.Unix(1, 0))
}

// copy copies one direction until its end. The buffer is small, because a WebSocket may be
// idle for long. It returns an error if the client has left. The departure of the upstream
// is not an error: what it has sent, such as a close frame, must still reach the client.
func (t *tunnel) copy(from, to stream, up bool) error {
	var (
		frames   wsframe.Reader
		dropping bool // nothing more is forwarded
		buffer   = make([]byte, smallBuffer)
	)
	for {
		n, err := from.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) && t.shuttingDown.Load() {
			err = from.SetReadDeadline(time.Time{})
		}
		rest := buffer[:n]
		if !dropping {
			shuttingDown := t.shuttingDown.Load()
			for len(rest) > 0 && (!shuttingDown || !frames.AtBoundary()) {
				read, _ := frames.Next(rest)
				rest = rest[read:]
			}
			dropping = shuttingDown && frames.AtBoundary()
			_, failed := to.Write(buffer[:n-len(rest)])
			if dropping && failed == nil && !frames.Closed() {
				_, failed = to.Write(wsframe.NewClose(wsframe.GoingAway, "the server is shutting down", up))
			}
			switch {
			case failed != nil && !up:
				return failed
			case failed != nil:
				dropping = true
			}
			if dropping {
				t.startCloseTimer()
			}
		}
		for len(rest) > 0 {
			read, _ := frames.Next(rest)
			rest = rest[read:]
		}
		switch done := dropping && frames.Closed(); {
		case errors.Is(err, io.EOF), err == nil && done, err != nil && !up:
			return nil
		case err != nil:
			return err
		}
	}
}

// tunnelSet is the set of established tunnels.
type tunnelSet struct {
	mu           sync.Mutex
	open         map[*tunnel]struct{} // guarded by mu
	shuttingDown bool                 // guarded by mu
}

// add must be called before the connection is hijacked, so that either the [http.Server] or
// the set always knows of it.
func (s *tunnelSet) add(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*tunnel]struct{})
	}
	s.open[t] = struct{}{}
	if s.shuttingDown {
		t.shutdown()
	}
}

// remove removes a tunnel that has ended.
func (s *tunnelSet) remove(t *tunnel) {
	defer close(t.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// shutdown shuts down all tunnels, including those added later.
func (s *tunnelSet) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shuttingDown = true
	for t := range s.open {
		t.shutdown()
	}
}

// wait returns when all tunnels have ended. When ctx is done it closes the remaining ones and
// returns ctx's error.
func (s *tunnelSet) wait(ctx context.Context) error {
	s.mu.Lock()
	open := make([]*tunnel, 0, len(s.open))
	for t := range s.open {
		open = append(open, t)
	}
	s.mu.Unlock()
	var err error
	for _, t := range open {
		select {
		case <-t.ended:
			continue
		default:
		}
		select {
		case <-t.ended:
		case <-ctx.Done():
			err = ctx.Err()
			t.close()
			<-t.ended
		}
	}
	return err
}
