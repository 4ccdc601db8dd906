// Package deadline spares connections most of the deadlines that are set on
// them.
//
// To set one is to change a timer of the runtime, which costs as much as a short
// system call, and a server sets several in every request, nearly all of which
// are taken back or put off before they pass. So one that is later than what the
// connection has already is only noted: when that passes, the read goes on until
// the one that was noted.
package deadline

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Reader reads from a connection until a deadline. The zero value with a Conn has
// none. Its methods may be called while Read runs.
type Reader struct {
	// Conn is what is read from. Nobody else may set its read deadline.
	Conn net.Conn

	mu     sync.Mutex
	wanted time.Time // guarded by mu; zero for none
	limit  time.Time // guarded by mu; zero for none
	armed  time.Time // guarded by mu: what the connection has, never later than the others
}

// Set sets the deadline, as [net.Conn] has it.
func (r *Reader) Set(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = t
	return r.arm(t)
}

// Limit sets a second deadline, for another purpose than the first: whichever
// is the earlier one counts.
func (r *Reader) Limit(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = t
	return r.arm(t)
}

// arm sees to it that the connection has no deadline later than t.
func (r *Reader) arm(t time.Time) error {
	if t.IsZero() || !r.armed.IsZero() && !t.Before(r.armed) {
		return nil
	}
	r.armed = t
	return r.Conn.SetReadDeadline(t)
}

// Read reads from the connection. The error wraps [os.ErrDeadlineExceeded] only
// if a deadline has passed that counts.
func (r *Reader) Read(p []byte) (int, error) {
	for {
		n, err := r.Conn.Read(p)
		if n > 0 || err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || r.passed() {
			return n, err
		}
	}
}

// passed reports whether a deadline has passed that counts. If none has, it sets
// the connection's anew.
func (r *Reader) passed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.wanted
	if next.IsZero() || !r.limit.IsZero() && r.limit.Before(next) {
		next = r.limit
	}
	if !next.IsZero() && !time.Now().Before(next) {
		return true
	}
	r.armed = next
	return r.Conn.SetReadDeadline(next) != nil
}

// LimitPassed reports whether the deadline of Limit has passed.
func (r *Reader) LimitPassed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.limit.IsZero() && !time.Now().Before(r.limit)
}
