package upstream

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// writer writes to a connection whose peer may take nothing of it for some time
// only. Time in which nothing is written doesn't count.
//
// The deadline is that of a whole write, of a head with a small body or of a piece
// of a large one: so little in so much time is nothing.
type writer struct {
	conn    net.Conn
	timeout time.Duration // 0 for none
	until   time.Time     // the connection's deadline; zero for none
	stalled atomic.Bool   // it has passed
}

// stallAnswerTime is how long an answer is looked for that came before the upstream
// took no more of the request.
const stallAnswerTime = time.Second

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	if w.timeout > 0 {
		// To set a deadline costs as much as a short system call: one that is
		// about as good as a new one stays.
		if now := time.Now(); w.until.Sub(now) < w.timeout-w.timeout/4 {
			w.until = now.Add(w.timeout)
			_ = w.conn.SetWriteDeadline(w.until) // a connection without deadlines has none
		}
	}
	n, err := w.conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.stalled.Store(true)
	}
	return n, err
}

// unbound lets the peer take its time from now on.
func (w *writer) unbound() {
	if !w.until.IsZero() {
		_ = w.conn.SetWriteDeadline(time.Time{})
	}
	w.timeout, w.until = 0, time.Time{}
}
