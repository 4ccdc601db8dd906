// Package memory is the budget of a server for the bodies that it holds: request
// messages of RPCs, compressed or not, bodies that are read before they are sent up,
// and replies to unary calls. They are charged as they are read and decompressed,
// before more of them is.
//
// Clients share the budget. One may hold as much as is left free, so that two that take
// all they can get have a third each, and a single one a half. Where the server knows
// no clients, all of it is for everyone. Bodies of more than 64 KiB leave an eighth of
// the budget free in either case: a small request finds room while others hold all they
// can get. And once a quarter is taken, a client that sends a larger body at less than
// 64 KiB/s, measured over ten seconds, loses it.
package memory

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// smallBody is up to which size, in bytes, a body may take of the reserve, and come
	// as slowly as it likes.
	smallBody = 64 << 10
	// reserveShare is the part of the budget that larger bodies leave free, and
	// pressureShare the part from which slow ones are cut: one by so much.
	reserveShare  = 8
	pressureShare = 4

	// slowRate, in bytes per second, is too slow over slowWindow.
	slowRate   = 64 << 10
	slowWindow = 10 * time.Second

	// largeWork is the size of a body, in bytes, from which decoding it waits for its
	// turn.
	largeWork = 1 << 20
)

// Budget bounds the memory of bodies. It is safe for concurrent use.
type Budget struct {
	limit int64
	fair  bool
	turns chan struct{} // has an element for each large body that is being decoded

	mu      sync.Mutex
	taken   int64            // guarded by mu
	clients map[string]int64 // guarded by mu: what each holds, unless nothing
}

// New returns a budget of limit bytes. If it is fair, clients share it; else they count
// as one.
func New(limit int64, fair bool) *Budget {
	return &Budget{
		limit: limit, fair: fair,
		turns:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		clients: make(map[string]int64),
	}
}

// LimitError says that there is no room for a body.
type LimitError struct {
	Limit int64 // of the budget, in bytes
	// Passing says that there would be room if nobody else held any.
	Passing bool
	// Slow says that the body came too slowly for what it held.
	Slow bool
}

func (e *LimitError) Error() string {
	switch {
	case e.Slow:
		return fmt.Sprintf("the body came at less than %d KiB/s while this server was short of memory for bodies, of which it has %d bytes for all: try again", slowRate>>10, e.Limit)
	case e.Passing:
		return fmt.Sprintf("the body does not fit into what is left of this server's limit of %d bytes for all bodies that it holds: try again later", e.Limit)
	default:
		return fmt.Sprintf("the body is too large for this server's limit of %d bytes for all bodies that it holds: send less at a time", e.Limit)
	}
}

// Hold begins to hold memory for a call of a client. The result must be closed. That of
// a nil budget counts nothing.
func (b *Budget) Hold(client string) *Hold {
	if b == nil {
		return nil
	}
	if !b.fair {
		client = ""
	}
	return &Hold{budget: b, client: client}
}

// Taken returns how much of the budget is taken, in bytes.
func (b *Budget) Taken() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// Turn waits until a body of size bytes may be decoded: decoding takes several times
// the size for a short time, which only as many large bodies get at a time as there are
// processors. The result ends the turn. The wait ends with done.
func (b *Budget) Turn(size int64, done <-chan struct{}) (end func()) {
	if b == nil || size < largeWork {
		return func() {}
	}
	select {
	case b.turns <- struct{}{}:
		return func() { <-b.turns }
	case <-done:
		return func() {}
	}
}

// Hold is the memory that a call holds. It is safe for concurrent use. A nil Hold
// counts nothing.
type Hold struct {
	budget *Budget
	client string
	size   int64 // guarded by budget.mu
	closed bool  // guarded by budget.mu
}

// Grow takes n bytes more, if there is room for them. Otherwise it returns a
// [*LimitError].
func (h *Hold) Grow(n int64) error {
	if h == nil {
		return nil
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.grow(n)
}

// Resize takes or gives back as much as it takes to hold size bytes. If there is no
// room for them it returns a [*LimitError], and holds what it did.
func (h *Hold) Resize(size int64) error {
	if h == nil {
		return nil
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.grow(size - h.size)
}

// Close gives back what is held. From then on nothing is counted.
func (h *Hold) Close() {
	if h == nil {
		return
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	h.take(-h.size)
	h.closed = true
}

// grow is Grow. The lock must be held.
func (h *Hold) grow(n int64) error {
	b := h.budget
	if h.closed {
		return nil
	}
	if size := h.size + n; n > 0 && !b.fits(size, b.clients[h.client]+n, b.taken+n) {
		return &LimitError{Limit: b.limit, Passing: b.fits(size, size, size)}
	}
	h.take(n)
	return nil
}

// fits reports whether a body may have a size, its client hold own, and all together
// taken.
func (b *Budget) fits(size, own, taken int64) bool {
	free := b.limit - taken
	return free >= 0 && (size <= smallBody || free >= b.limit/reserveShare) && (!b.fair || own <= free)
}

// take takes n bytes. The lock must be held.
func (h *Hold) take(n int64) {
	b := h.budget
	h.size += n
	b.taken += n
	if b.clients[h.client] += n; b.clients[h.client] == 0 {
		delete(b.clients, h.client)
	}
}

// isPressed reports whether much of the budget is taken.
func (b *Budget) isPressed() bool { return b.Taken() > b.limit/pressureShare }

// Reader returns a reader that takes memory for what it reads from another one. When
// there is no room for a piece, it returns the [*LimitError] with it.
func (h *Hold) Reader(r io.Reader) *Reader { return &Reader{Reader: r, hold: h} }

// BodyReader is [Hold.Reader] for the body of a client, which has to come at its rate.
func (h *Hold) BodyReader(r io.Reader) *Reader { return &Reader{Reader: r, hold: h, timed: h != nil} }

// Reader is a body that is read into memory.
type Reader struct {
	io.Reader

	hold    *Hold
	timed   bool
	stopped bool
	size    int64 // that was read

	since time.Time // when the window began
	came  int64     // bytes in it
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.stopped {
		return n, err
	}
	r.size += int64(n)
	if failed := r.hold.Grow(int64(n)); failed != nil {
		return n, failed
	}
	if r.timed && r.size > smallBody && err == nil {
		if failed := r.checkRate(int64(n)); failed != nil {
			return n, failed
		}
	}
	return n, err
}

// checkRate returns an error if the body comes too slowly while memory is short.
func (r *Reader) checkRate(n int64) error {
	now := time.Now()
	if r.since.IsZero() {
		r.since = now
		return nil
	}
	r.came += n
	elapsed := now.Sub(r.since)
	if elapsed < slowWindow {
		return nil
	}
	if r.came < int64(elapsed.Seconds()*slowRate) && r.hold.budget.isPressed() {
		return &LimitError{Limit: r.hold.budget.limit, Passing: true, Slow: true}
	}
	r.since, r.came = now, 0
	return nil
}

// Stop says that what is read from now on isn't held.
func (r *Reader) Stop() { r.stopped = true }

// Close implements [io.Closer].
func (r *Reader) Close() error {
	if closer, ok := r.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
