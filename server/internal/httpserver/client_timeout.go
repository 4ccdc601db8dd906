package httpserver

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeChunk is the number of bytes written to an HTTP/2 stream in one step. A
	// client must read as much within the timeout.
	writeChunk = 32 << 10

	// streamTimeout is the initial deadline of an HTTP/2 stream, which [clientTimeouts]
	// extends. It bounds the responses that net/http gives itself, to malformed or too
	// large headers. It must be many times the time that extending it takes.
	streamTimeout = time.Minute

	// forever is longer than any request takes. An HTTP/2 deadline that far ahead can
	// be shortened. No deadline at all cannot be set safely: net/http would also apply
	// it to a stream that has just been closed, and then reset that.
	forever = 100 * 365 * 24 * time.Hour
)

// aLongTimeAgo is a deadline in the past.
var aLongTimeAgo = time.Unix(1, 0) //nolint:gochecknoglobals // constant

// clientTimeouts returns a handler that ends requests whose client sends nothing of an
// unfinished body, or reads nothing of the response, for the timeout. Reading the body
// then fails with a [*stallError], and a response can still be written. Over HTTP/1.1
// [clientConn] enforces both.
//
// It must wrap every handler that writes. The deadline set by [detachHTTP2] bounds
// responses that net/http writes itself.
func clientTimeouts(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasBody := r.Body != nil && r.Body != http.NoBody
		if r.ProtoMajor == 1 {
			if hasBody {
				r = limitBody(r, timeout)
			}
			next.ServeHTTP(w, r)
			return
		}
		if r.Context().Err() != nil { // the stream was reset before the handler started
			panic(http.ErrAbortHandler)
		}
		t := &timeoutWriter{ResponseWriter: w, control: http.NewResponseController(w), conn: requestConn(r), timeout: timeout}
		t.writing.onExpire = func() { _ = t.control.SetWriteDeadline(aLongTimeAgo) }
		t.running.onExpire = func() { _ = t.control.SetWriteDeadline(time.Now().Add(forever)) }
		t.running.start(streamTimeout / 2)
		defer t.end()
		if !hasBody {
			next.ServeHTTP(t, r)
			t.returned = true
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		t.reading.onExpire = func() {
			t.stalled.Store(true)
			_ = t.control.SetReadDeadline(aLongTimeAgo)
			cancel() // for code that waits for something other than the body
		}
		t.original, t.inner = r, r.WithContext(ctx)
		t.inner.Body = (*timeoutBody)(t)
		next.ServeHTTP(t, t.inner)
		t.returned = true
	})
}

// stallError is the error of reading a request body whose client sent nothing.
type stallError struct{ timeout time.Duration }

// Error implements error.
func (e *stallError) Error() string {
	return fmt.Sprintf("the client sent nothing of the request body for %v", e.timeout)
}

// Unwrap returns [os.ErrDeadlineExceeded].
func (e *stallError) Unwrap() error { return os.ErrDeadlineExceeded }

// timeoutWriter is the response writer of an HTTP/2 request whose client may stall.
type timeoutWriter struct {
	http.ResponseWriter

	control *http.ResponseController
	conn    *clientConn // nil if unknown
	timeout time.Duration

	original *http.Request // nil if the request has no body
	inner    *http.Request // original with a timeoutBody
	reading  watchdog
	stalled  atomic.Bool // the client stalled while sending the body

	writing watchdog

	running  watchdog // extends the stream's deadline
	returned bool     // the handler returned without a panic
}

// Write implements [http.ResponseWriter].
func (t *timeoutWriter) Write(p []byte) (n int, err error) {
	for {
		t.writing.start(t.timeout)
		wrote, err := t.ResponseWriter.Write(p[n:min(len(p), n+writeChunk)])
		t.writing.stop()
		n += wrote
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// FlushError serves [http.ResponseController].
func (t *timeoutWriter) FlushError() error {
	t.writing.start(t.timeout)
	defer t.writing.stop()
	return t.control.Flush()
}

// Unwrap serves [http.ResponseController].
func (t *timeoutWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// end must be called when the handler has returned. The response writer must not be
// used afterwards.
func (t *timeoutWriter) end() {
	t.reading.end()
	t.writing.end()
	t.running.end()
	if t.returned && t.conn != nil {
		t.conn.limitUnread(t.ResponseWriter, t.timeout)
	}
}

// timeoutBody is a timeoutWriter as the body of its request.
type timeoutBody timeoutWriter

// Read implements [io.Reader].
func (b *timeoutBody) Read(p []byte) (int, error) {
	b.reading.start(b.timeout)
	n, err := b.original.Body.Read(p)
	b.reading.stop()
	if err == io.EOF { //nolint:errorlint // a wrapped EOF is an error
		copyTrailer(b.inner, b.original)
	} else if err != nil && b.Stalled() != nil {
		err = b.Stalled()
	}
	return n, err
}

// Close implements [io.Closer].
func (b *timeoutBody) Close() error { return b.original.Body.Close() }

// Stalled returns the error of reading if the client stalled, and nil otherwise.
func (b *timeoutBody) Stalled() error {
	if !b.stalled.Load() {
		return nil
	}
	return &stallError{b.timeout}
}

// copyTrailer copies the trailer of a request, which exists once the body is read,
// into the handler's copy of the request.
func copyTrailer(inner, original *http.Request) {
	if inner.Trailer == nil {
		inner.Trailer = original.Trailer
		return
	}
	maps.Copy(inner.Trailer, original.Trailer) // as net/http does, because others may share the map
}

// watchdog calls onExpire if an operation takes too long. Its timer runs on from one
// start to the next, so that most starts and stops only read the clock.
type watchdog struct {
	onExpire func()

	mu      sync.Mutex
	since   time.Time   // guarded by mu; zero while stopped
	timer   *time.Timer // guarded by mu; nil before the first start
	pending bool        // guarded by mu: timer is running
	ended   bool        // guarded by mu
}

func (d *watchdog) start(timeout time.Duration) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = now
	switch {
	case d.pending || d.ended:
	case d.timer == nil:
		d.timer = time.AfterFunc(timeout, func() { d.check(timeout) })
		d.pending = true
	default:
		d.timer.Reset(timeout)
		d.pending = true
	}
}

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Time{}
}

func (d *watchdog) check(timeout time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = false
	if d.since.IsZero() || d.ended {
		return
	}
	if left := timeout - time.Since(d.since); left > 0 {
		d.timer.Reset(left)
		d.pending = true
		return
	}
	d.onExpire()
}

// end disables the watchdog.
func (d *watchdog) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.timer != nil {
		d.timer.Stop()
	}
}
