package deadline

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Writer writes to a connection with a timeout for each Write. Time between writes does
// not count. Its methods other than Write may be called during a Write.
type Writer struct {
	// Conn is the connection. Only the Writer may set its write deadline.
	Conn net.Conn

	// Timeout is the time that a Write may take at least. It may take up to a quarter
	// longer. Zero means no timeout.
	Timeout time.Duration

	armed    atomic.Pointer[time.Time] // the deadline set by Write, which outlasts several writes
	explicit atomic.Bool               // Set or ClearTimeout has replaced the timeout
	expired  atomic.Bool               // a Write has timed out
	mu       sync.Mutex                // held while the connection's deadline is changed
}

// Write implements [io.Writer]. The error wraps [os.ErrDeadlineExceeded] if the timeout
// or the deadline of Set has expired.
func (w *Writer) Write(p []byte) (int, error) {
	w.extend()
	n, err := w.Conn.Write(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !w.explicit.Load() {
		w.expired.Store(true)
	}
	return n, err
}

// extend ensures that a write that begins now may last for the timeout.
func (w *Writer) extend() {
	if w.Timeout <= 0 || w.explicit.Load() {
		return
	}
	if armed := w.armed.Load(); armed != nil && time.Until(*armed) >= w.Timeout {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.explicit.Load() {
		return
	}
	next := time.Now().Add(w.Timeout + w.Timeout/4)
	w.armed.Store(&next)
	_ = w.Conn.SetWriteDeadline(next) // fails for a connection without deadlines
}

// Set sets a deadline that replaces the timeout, as [net.Conn] does. The zero time
// restores the timeout.
func (w *Writer) Set(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.IsZero() && !w.explicit.Load() {
		return nil // keep the deadline of Write
	}
	w.explicit.Store(!t.IsZero())
	w.armed.Store(nil)
	return w.Conn.SetWriteDeadline(t)
}

// IsSet reports whether a deadline of Set is in effect.
func (w *Writer) IsSet() bool { return w.explicit.Load() }

// ClearTimeout removes the timeout.
func (w *Writer) ClearTimeout() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.explicit.Store(true)
	if w.armed.Swap(nil) != nil {
		_ = w.Conn.SetWriteDeadline(time.Time{})
	}
}

// Expired reports whether a Write has timed out.
func (w *Writer) Expired() bool { return w.expired.Load() }
