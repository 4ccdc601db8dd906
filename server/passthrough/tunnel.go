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

// closeGrace is how long one side of a WebSocket may take to close its
// connection after the other side, or this server, has closed.
const closeGrace = 5 * time.Second

// stream is one side of a tunnel.
type stream = httpx.Duplex

// tunnel is a WebSocket that is under way. It passes every byte on as it comes,
// and sets no limit to the time in which none does.
type tunnel struct {
	upstream stream
	leaving  atomic.Bool   // the server is going down
	ended    chan struct{} // closed in the end

	mu     sync.Mutex
	client stream      // guarded by mu: nil until there is one
	closed bool        // guarded by mu
	grace  *time.Timer // guarded by mu: nil until one side has closed
}

func newTunnel(upstream stream) *tunnel {
	return &tunnel{upstream: upstream, ended: make(chan struct{})}
}

// run passes on what both sides send, until both have closed. ctx ends it at
// once.
func (t *tunnel) run(ctx context.Context, client stream) {
	defer t.close()
	defer context.AfterFunc(ctx, t.close)()
	t.attach(client)
	var sending sync.WaitGroup
	sending.Go(func() { t.end(t.upstream, t.pass(client, t.upstream, true)) })
	t.end(client, t.pass(t.upstream, client, false))
	sending.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grace != nil {
		t.grace.Stop()
	}
}

// attach makes client the other side, of which others may have asked something
// before.
func (t *tunnel) attach(client stream) {
	t.mu.Lock()
	t.client = client
	closed := t.closed
	t.mu.Unlock()
	if closed {
		_ = client.Close()
	}
	if t.leaving.Load() {
		t.leave()
	}
}

// end passes the end of one direction on as such, since the other one may have
// a close frame to send. A client that is gone is the end of both.
func (t *tunnel) end(to stream, gone error) {
	if gone != nil || to.CloseWrite() != nil {
		t.close()
		return
	}
	t.hurry()
}

// hurry gives what is left of the tunnel its time.
func (t *tunnel) hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grace == nil {
		t.grace = time.AfterFunc(closeGrace, t.close)
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

// leave says goodbye to both sides, in the manner of RFC 6455 §7.1: each gets a
// close frame, behind the frame that it is just being sent, and some time to
// answer with its own.
func (t *tunnel) leave() {
	t.leaving.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client == nil {
		return
	}
	// Who waits for a side's next word is woken up.
	_ = t.upstream.SetReadDeadline(time.Unix(1, 0))
	_ = t.client.SetReadDeadline(time.Unix(1, 0))
}

// pass passes on what comes in one direction until its end, through a small
// buffer, as a WebSocket may be idle for long. The error is that the client is
// gone. That the upstream is gone is no error: what it said before, such as why
// it closes, has to reach the client, who may be in the middle of a word.
func (t *tunnel) pass(from, to stream, up bool) error {
	var (
		frames   wsframe.Reader
		dropping bool // nothing more is passed on
		buffer   = make([]byte, smallBuffer)
	)
	for {
		n, err := from.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) && t.leaving.Load() {
			err = from.SetReadDeadline(time.Time{})
		}
		rest := buffer[:n]
		if !dropping {
			leaving := t.leaving.Load()
			for len(rest) > 0 && (!leaving || !frames.AtBoundary()) {
				read, _ := frames.Next(rest)
				rest = rest[read:]
			}
			dropping = leaving && frames.AtBoundary()
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
				t.hurry()
			}
		}
		for len(rest) > 0 {
			read, _ := frames.Next(rest)
			rest = rest[read:]
		}
		switch over := dropping && frames.Closed(); {
		case errors.Is(err, io.EOF), err == nil && over, err != nil && !up:
			return nil
		case err != nil:
			return err
		}
	}
}

// tunnels are those that are under way.
type tunnels struct {
	mu      sync.Mutex
	open    map[*tunnel]struct{} // guarded by mu
	leaving bool                 // guarded by mu
}

// add has to be called while the [http.Server] still has the client's connection
// for its own, so that at no time nobody knows of it.
func (s *tunnels) add(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*tunnel]struct{})
	}
	s.open[t] = struct{}{}
	if s.leaving {
		t.leave()
	}
}

// remove is told that a tunnel has ended.
func (s *tunnels) remove(t *tunnel) {
	defer close(t.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, t)
}

// leave says goodbye on all tunnels, and on those to come.
func (s *tunnels) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	for t := range s.open {
		t.leave()
	}
}

// wait returns when all tunnels have ended. When ctx is done it ends those that
// are left, and returns ctx's error.
func (s *tunnels) wait(ctx context.Context) error {
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
