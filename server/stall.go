package server

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

// writePiece is how much, in bytes, is written to a stream of HTTP/2 at a time.
// A client has to take as much as that within the limit.
const writePiece = 32 << 10

// limitStalls returns a handler that ends the calls of clients which send
// nothing of the body that they have begun, or take nothing of the answer, for
// longer than limit. Reading the body fails with a [*stallError] then, and an
// answer can still be given. Over HTTP/1.1 both are seen to by [connection].
//
// It has to be around all handlers that write. What net/http answers by itself is
// bounded by the deadline that [separateHTTP2] gives each stream.
func limitStalls(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasBody := r.Body != nil && r.Body != http.NoBody
		if r.ProtoMajor == 1 {
			if hasBody {
				r = limitBody(r, limit)
			}
			next.ServeHTTP(w, r)
			return
		}
		if r.Context().Err() != nil { // a stream that was reset before its turn came
			panic(http.ErrAbortHandler)
		}
		c := &boundCall{ResponseWriter: w, control: http.NewResponseController(w), limit: limit}
		c.conn, _ = r.Context().Value(connectionKey{}).(*connection)
		c.writing.cut = func() { _ = c.control.SetWriteDeadline(past) }
		c.running.cut = func() { _ = c.control.SetWriteDeadline(time.Now().Add(forever)) }
		c.running.start(streamTimeout / 2)
		defer c.end()
		if !hasBody {
			next.ServeHTTP(c, r)
			c.returned = true
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		c.reading.cut = func() {
			c.stalled.Store(true)
			_ = c.control.SetReadDeadline(past)
			cancel() // whatever waits for something else than the body
		}
		c.received, c.handed = r, r.WithContext(ctx)
		c.handed.Body = (*callBody)(c)
		next.ServeHTTP(c, c.handed)
		c.returned = true
	})
}

// stallError is what becomes of a request whose body doesn't come.
type stallError struct{ limit time.Duration }

// Error implements error.
func (e *stallError) Error() string {
	return fmt.Sprintf("the client sent nothing of the request's body for %v", e.limit)
}

// Unwrap returns [os.ErrDeadlineExceeded].
func (e *stallError) Unwrap() error { return os.ErrDeadlineExceeded }

// forever is longer than any call takes. A deadline of HTTP/2 that lies so far ahead
// can be brought forward, unlike none: net/http would set that on a stream that has
// been closed too, and then reset it.
const forever = 100 * 365 * 24 * time.Hour

// past is a deadline that has passed.
var past = time.Unix(1, 0) //nolint:gochecknoglobals // it is constant

// boundCall is a call over HTTP/2 of a client that may stall, as the writer of its
// answer.
type boundCall struct {
	http.ResponseWriter

	control *http.ResponseController
	conn    *connection // nil if unknown
	limit   time.Duration

	received *http.Request // nil for one without a body
	handed   *http.Request // the same with a callBody
	reading  stopwatch
	stalled  atomic.Bool // the client did, with the body

	writing stopwatch

	running  stopwatch // puts the stream's deadline off
	returned bool      // the handler did
}

// Write implements [http.ResponseWriter].
func (c *boundCall) Write(p []byte) (n int, err error) {
	for {
		c.writing.start(c.limit)
		wrote, err := c.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
		c.writing.stop()
		n += wrote
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// FlushError serves [http.ResponseController].
func (c *boundCall) FlushError() error {
	c.writing.start(c.limit)
	defer c.writing.stop()
	return c.control.Flush()
}

// Unwrap serves [http.ResponseController].
func (c *boundCall) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// end is called when the handler has returned, after which the writer may not be
// touched.
func (c *boundCall) end() {
	c.reading.end()
	c.writing.end()
	c.running.end()
	if c.returned && c.conn != nil {
		c.conn.await(c.ResponseWriter, c.limit)
	}
}

// callBody is a call as the body of its request.
type callBody boundCall

// Read implements [io.Reader].
func (b *callBody) Read(p []byte) (int, error) {
	b.reading.start(b.limit)
	n, err := b.received.Body.Read(p)
	b.reading.stop()
	if err == io.EOF { //nolint:errorlint // an end that is wrapped is none
		handTrailer(b.handed, b.received)
	} else if err != nil && b.Stalled() != nil {
		err = b.Stalled()
	}
	return n, err
}

// Close implements [io.Closer].
func (b *callBody) Close() error { return b.received.Body.Close() }

// Stalled returns the error that reading fails with since the client stalled,
// nil if it did not.
func (b *callBody) Stalled() error {
	if !b.stalled.Load() {
		return nil
	}
	return &stallError{b.limit}
}

// handTrailer gives the trailer of a request, which is there since its body was
// read, to the copy of it that a handler has.
func handTrailer(handed, received *http.Request) {
	if handed.Trailer == nil {
		handed.Trailer = received.Trailer
		return
	}
	maps.Copy(handed.Trailer, received.Trailer) // as net/http does: others may share it
}

// stopwatch cuts off what lasts too long. It has a timer of its own, which goes
// on from one start to the next, so that most starts and stops cost no more than
// to look at the clock.
type stopwatch struct {
	cut func()

	mu      sync.Mutex
	since   time.Time   // guarded by mu; zero unless it runs
	timer   *time.Timer // guarded by mu; nil unless it was started
	pending bool        // guarded by mu: timer is about to go off
	ended   bool        // guarded by mu
}

func (s *stopwatch) start(limit time.Duration) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = now
	switch {
	case s.pending || s.ended:
	case s.timer == nil:
		s.timer = time.AfterFunc(limit, func() { s.check(limit) })
		s.pending = true
	default:
		s.timer.Reset(limit)
		s.pending = true
	}
}

func (s *stopwatch) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
}

func (s *stopwatch) check(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = false
	if s.since.IsZero() || s.ended {
		return
	}
	if left := limit - time.Since(s.since); left > 0 {
		s.timer.Reset(left)
		s.pending = true
		return
	}
	s.cut()
}

// end sees to it that nothing is cut off any more.
func (s *stopwatch) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
