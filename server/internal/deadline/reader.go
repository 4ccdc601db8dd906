// Package deadline reduces the cost of deadlines on connections.
//
// Setting a deadline changes a timer of the runtime, which costs as much as a short
// system call. A server sets several deadlines in every request, and nearly all of them
// are canceled or extended before they expire. [Reader] therefore leaves an earlier
// deadline of the connection in place, and sets the new one only when the earlier one
// expires. [Writer] sets a deadline somewhat later than necessary, so that several writes
// can use it.
package deadline

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Reader reads from a connection until a deadline. A Reader with only a Conn has no
// deadline. Its methods may be called concurrently with Read.
type Reader struct {
	// Conn is the connection. Only the Reader may set its read deadline.
	Conn net.Conn

	mu       sync.Mutex
	deadline time.Time // guarded by mu; zero for none
	limit    time.Time // guarded by mu; zero for none
	armed    time.Time // guarded by mu; the deadline of Conn, not later than deadline and limit
}

// Set sets the deadline, like [net.Conn.SetReadDeadline].
func (r *Reader) Set(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return r.armLocked(t)
}

// SetLimit sets a second, independent deadline. The earlier of the two applies.
func (r *Reader) SetLimit(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = t
	return r.armLocked(t)
}

// armLocked ensures that the deadline of Conn is not later than t. The caller holds mu.
func (r *Reader) armLocked(t time.Time) error {
	if t.IsZero() || !r.armed.IsZero() && !t.Before(r.armed) {
		return nil
	}
	r.armed = t
	return r.Conn.SetReadDeadline(t)
}

// Read reads from the connection. The error wraps [os.ErrDeadlineExceeded] only if one
// of the two deadlines has expired.
func (r *Reader) Read(p []byte) (int, error) {
	for {
		n, err := r.Conn.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || r.expired() {
			return n, err
		}
	}
}

// expired reports whether one of the two deadlines has expired. Otherwise it sets the
// deadline of Conn to the earlier of the two.
func (r *Reader) expired() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.deadline
	if next.IsZero() || !r.limit.IsZero() && r.limit.Before(next) {
		next = r.limit
	}
	if !next.IsZero() && !time.Now().Before(next) {
		return true
	}
	r.armed = next
	return r.Conn.SetReadDeadline(next) != nil
}

// LimitExpired reports whether the deadline set with SetLimit has expired.
func (r *Reader) LimitExpired() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.limit.IsZero() && !time.Now().Before(r.limit)
}
