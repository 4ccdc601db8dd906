package upstream

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// timeoutWriter writes to a connection and bounds the time of each write: of a header with
// a small body, or of a piece of a large body. Time between writes doesn't count.
type timeoutWriter struct {
	conn     net.Conn
	timeout  time.Duration // 0 for none
	deadline time.Time     // the connection's write deadline; zero for none
	stalled  atomic.Bool   // a write has timed out
}

// earlyResponseWait bounds the wait for a response after the upstream has stopped reading
// the request. It may have responded before.
const earlyResponseWait = time.Second

// Write implements [io.Writer].
func (w *timeoutWriter) Write(p []byte) (int, error) {
	if w.timeout > 0 {
		// Setting a deadline costs as much as a short system call, so that one with most
		// of its time left is kept.
		if now := time.Now(); w.deadline.Sub(now) < w.timeout-w.timeout/4 {
			w.deadline = now.Add(w.timeout)
			_ = w.conn.SetWriteDeadline(w.deadline) // fails for a connection without deadlines
		}
	}
	n, err := w.conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.stalled.Store(true)
	}
	return n, err
}

// clearTimeout removes the timeout.
func (w *timeoutWriter) clearTimeout() {
	if !w.deadline.IsZero() {
		_ = w.conn.SetWriteDeadline(time.Time{})
	}
	w.timeout, w.deadline = 0, time.Time{}
}
