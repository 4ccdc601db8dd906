// Package deadline avoids most of the system work of setting deadlines on connections.
//
// Setting a deadline changes a timer of the runtime, which costs as much as a short
// system call. A server sets several in every request, and nearly all of them are
// canceled or extended before they expire. [Reader] and [Writer] set fewer: if the
// connection already has an earlier deadline, they only remember the new one, and set it
// when the earlier one expires; and a deadline is set so late that it serves several
// operations.
package deadline

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Reader reads from a connection until a deadline. The zero value with a Conn has none.
// Its methods may be called during a Read.
type Reader struct {
	// Conn is the connection. Only the Reader may set its read deadline.
	Conn net.Conn

	mu       sync.Mutex
	deadline time.Time // guarded by mu; zero for none
	limit    time.Time // guarded by mu; zero for none
	armed    time.Time // guarded by mu: the connection's deadline, never later than the others
}

// Set sets the deadline, as [net.Conn] does.
func (r *Reader) Set(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return r.armLocked(t)
}

// Limit sets a second, independent deadline. The earlier one applies.
func (r *Reader) Limit(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = t
	return r.armLocked(t)
}

// armLocked ensures that the connection has a deadline no later than t.
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

// expired reports whether one of the two deadlines has expired. If none has, it sets
// the connection's deadline again.
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

// LimitExpired reports whether the deadline of Limit has expired.
func (r *Reader) LimitExpired() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.limit.IsZero() && !time.Now().Before(r.limit)
}
