// Package memory limits the total memory for buffered bodies: request messages of RPCs,
// compressed and decompressed, request bodies that are read before they are sent
// upstream, and unary replies. Memory is charged while a body is read and decompressed,
// piece by piece.
//
// Clients share the budget. Each may hold as much as stays free: a single client uses at
// most a half, and two clients a third each. If the server does not distinguish clients,
// they share the whole budget. Bodies larger than 64 KiB always leave an eighth of the
// budget free for small requests. If more than a quarter is used, a larger body that
// arrives at less than 64 KiB/s, measured over ten seconds, is rejected.
package memory

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

const (
	// smallBody is the maximum size in bytes of a body that may use the reserve and may be
	// sent slowly.
	smallBody = 64 << 10

	// Larger bodies leave 1/reserveShare of the budget free. Slow ones are rejected if
	// more than 1/pressureShare is used.
	reserveShare  = 8
	pressureShare = 4

	// minRate is the minimum rate in bytes per second over rateWindow.
	minRate    = 64 << 10
	rateWindow = 10 * time.Second

	// largeBody is the minimum size in bytes of a body whose decoding is limited.
	largeBody = 1 << 20
)

// Budget limits the memory for buffered bodies. It is safe for concurrent use.
type Budget struct {
	limit    int64
	fair     bool
	decoding chan struct{} // holds an element for each large body being decoded

	mu      sync.Mutex
	used    int64            // guarded by mu
	clients map[string]int64 // guarded by mu: the memory of each client that holds any
}

// New returns a budget of limit bytes. If it is fair, clients share it as the package
// comment describes. Otherwise they count as one client.
func New(limit int64, fair bool) *Budget {
	return &Budget{
		limit: limit, fair: fair,
		decoding: make(chan struct{}, runtime.GOMAXPROCS(0)),
		clients:  make(map[string]int64),
	}
}

// LimitError is the error for a body that exceeds the budget.
type LimitError struct {
	// Limit is the size of the budget in bytes.
	Limit int64
	// Temporary reports whether the body would fit into an otherwise unused budget.
	Temporary bool
	// Slow reports whether the body was rejected because it was sent too slowly.
	Slow bool
}

// Error implements error.
func (e *LimitError) Error() string {
	switch {
	case e.Slow:
		return fmt.Sprintf("the body was sent at less than %d KiB/s while the server's memory for buffered bodies (%d bytes) was under pressure; try again", minRate>>10, e.Limit)
	case e.Temporary:
		return fmt.Sprintf("the body does not fit into the free part of the server's memory for buffered bodies (%d bytes); try again later", e.Limit)
	default:
		return fmt.Sprintf("the body is too large for the server's memory for buffered bodies (%d bytes); send less in one request", e.Limit)
	}
}

// Hold returns a new hold for a request of a client. It must be closed. A nil budget
// returns a nil Hold.
func (b *Budget) Hold(client string) *Hold {
	if b == nil {
		return nil
	}
	if !b.fair {
		client = ""
	}
	return &Hold{budget: b, client: client}
}

// Used returns the used memory in bytes.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// AcquireDecoding waits until a body of size bytes may be decoded. Decoding briefly uses
// several times the size, so the number of large bodies being decoded is limited to the
// number of processors. The caller must call release. The wait ends when done is closed.
func (b *Budget) AcquireDecoding(size int64, done <-chan struct{}) (release func()) {
	if b == nil || size < largeBody {
		return func() {}
	}
	select {
	case b.decoding <- struct{}{}:
		return func() { <-b.decoding }
	case <-done:
		return func() {}
	}
}

// Hold is the memory held by one request. It is safe for concurrent use. A nil Hold has
// no limit.
type Hold struct {
	budget *Budget
	client string
	size   int64 // guarded by budget.mu
	closed bool  // guarded by budget.mu
}

// Grow adds n bytes to the hold. It returns a [*LimitError] if they do not fit.
func (h *Hold) Grow(n int64) error {
	if h == nil {
		return nil
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.growLocked(n)
}

// Resize sets the size of the hold in bytes. If it does not fit, it returns a
// [*LimitError] and does not change the hold.
func (h *Hold) Resize(size int64) error {
	if h == nil {
		return nil
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.growLocked(size - h.size)
}

// Close releases the memory. Subsequent calls of Grow and Resize have no effect.
func (h *Hold) Close() {
	if h == nil {
		return
	}
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	h.addLocked(-h.size)
	h.closed = true
}

func (h *Hold) growLocked(n int64) error {
	b := h.budget
	if h.closed {
		return nil
	}
	if size := h.size + n; n > 0 && !b.fits(size, b.clients[h.client]+n, b.used+n) {
		return &LimitError{Limit: b.limit, Temporary: b.fits(size, size, size)}
	}
	h.addLocked(n)
	return nil
}

// fits reports whether a body may have a size such that its client holds own bytes, and all
// clients together used bytes.
func (b *Budget) fits(size, own, used int64) bool {
	free := b.limit - used
	return free >= 0 && (size <= smallBody || free >= b.limit/reserveShare) && (!b.fair || own <= free)
}

// addLocked adds n bytes, which may be negative.
func (h *Hold) addLocked(n int64) {
	b := h.budget
	h.size += n
	b.used += n
	if b.clients[h.client] += n; b.clients[h.client] == 0 {
		delete(b.clients, h.client)
	}
}

// isUnderPressure reports whether so much of the budget is used that slow bodies are
// rejected.
func (b *Budget) isUnderPressure() bool { return b.Used() > b.limit/pressureShare }

// Reader returns a reader that adds what it reads from r to the hold. If a piece does not
// fit, Read returns it together with a [*LimitError].
func (h *Hold) Reader(r io.Reader) *Reader { return &Reader{Reader: r, hold: h} }

// BodyReader is like [Hold.Reader] for a request body, which must arrive at the minimum
// rate.
func (h *Hold) BodyReader(r io.Reader) *Reader { return &Reader{Reader: r, hold: h, timed: h != nil} }

// Reader is a body that is read into memory. See [Hold.Reader].
type Reader struct {
	io.Reader

	hold    *Hold
	timed   bool
	stopped bool
	size    int64 // bytes read so far

	windowStart time.Time
	windowBytes int64
}

// Read implements [io.Reader].
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.stopped {
		return n, err
	}
	r.size += int64(n)
	if limitErr := r.hold.Grow(int64(n)); limitErr != nil {
		return n, limitErr
	}
	if r.timed && r.size > smallBody && err == nil {
		if limitErr := r.checkRate(int64(n)); limitErr != nil {
			return n, limitErr
		}
	}
	return n, err
}

// checkRate returns an error if the body is sent too slowly while the budget is under
// pressure.
func (r *Reader) checkRate(n int64) error {
	now := time.Now()
	if r.windowStart.IsZero() {
		r.windowStart = now
		return nil
	}
	r.windowBytes += n
	elapsed := now.Sub(r.windowStart)
	if elapsed < rateWindow {
		return nil
	}
	if r.windowBytes < int64(elapsed.Seconds()*minRate) && r.hold.budget.isUnderPressure() {
		return &LimitError{Limit: r.hold.budget.limit, Temporary: true, Slow: true}
	}
	r.windowStart, r.windowBytes = now, 0
	return nil
}

// Stop ends the accounting. Data that is read afterwards is not added to the hold.
func (r *Reader) Stop() { r.stopped = true }

// Close implements [io.Closer].
func (r *Reader) Close() error {
	if closer, ok := r.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
