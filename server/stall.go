package server

import (
	"context"
	"errors"
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
// longer than limit. Of the former the cause of the request's context says so,
// which wraps [os.ErrDeadlineExceeded]; an answer can still be given. Over HTTP/1.1 the latter is seen to by [connection].
func limitStalls(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasBody := r.Body != nil && r.Body != http.NoBody
		if r.ProtoMajor == 1 && !hasBody {
			next.ServeHTTP(w, r)
			return
		}
		if r.Context().Err() != nil { // a stream that was reset before its turn came
			panic(http.ErrAbortHandler)
		}
		c := &call{ResponseWriter: w, control: http.NewResponseController(w), http1: r.ProtoMajor == 1, limit: limit}
		if !c.http1 {
			c.writing.cut = func() { _ = c.control.SetWriteDeadline(past) }
		}
		defer c.end()
		if !hasBody {
			next.ServeHTTP(c, r)
			return
		}
		// By the type of the body in its own request net/http tells whether a body
		// that was closed had been read to its end. If it hadn't, the rest of it
		// must not be taken for the next request: so it goes into a copy.
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		c.reading.cut = func() {
			// First, as net/http takes such a client for one that left.
			cancel(&stallError{limit})
			_ = c.control.SetReadDeadline(past)
		}
		c.received, c.handed = r, r.WithContext(ctx)
		c.handed.Body = (*callBody)(c)
		next.ServeHTTP(c, c.handed)
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

// past is a deadline that has passed.
var past = time.Unix(1, 0) //nolint:gochecknoglobals // it is constant

// call is a call of a client that may stall, as the writer of its answer.
type call struct {
	http.ResponseWriter

	control *http.ResponseController
	limit   time.Duration
	http1   bool

	received *http.Request // nil for one without a body
	handed   *http.Request // the same with a callBody
	whole    atomic.Bool   // the body was read to its end
	reading  stopwatch

	writing    stopwatch
	fullDuplex bool
	flushed    bool
}

// Write implements [http.ResponseWriter].
func (c *call) Write(p []byte) (n int, err error) {
	if c.http1 {
		if !c.flushed {
			defer c.limitDiscard()()
		}
		return c.ResponseWriter.Write(p)
	}
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
func (c *call) FlushError() error {
	if c.http1 {
		if !c.flushed {
			defer c.limitDiscard()()
		}
		c.flushed = true
		return c.control.Flush()
	}
	c.writing.start(c.limit)
	defer c.writing.stop()
	return c.control.Flush()
}

// EnableFullDuplex serves [http.ResponseController].
func (c *call) EnableFullDuplex() error {
	c.fullDuplex = true
	return c.control.EnableFullDuplex()
}

// Unwrap serves [http.ResponseController].
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// limitDiscard bounds what net/http does over HTTP/1.1 before it writes the
// header, and when a body is closed: it reads what is left of the body, without
// regard to the time. The function that is returned ends that.
func (c *call) limitDiscard() func() {
	if !c.http1 || c.fullDuplex || c.received == nil || c.whole.Load() {
		return func() {}
	}
	_ = c.control.SetReadDeadline(time.Now().Add(c.limit))
	return func() { _ = c.control.SetReadDeadline(time.Time{}) }
}

// end is called when the handler has returned, after which the writer may not be
// touched.
func (c *call) end() {
	c.reading.end()
	c.writing.end()
	c.limitDiscard() // which net/http undoes itself, for the next request
}

// callBody is a call as the body of its request.
type callBody call

// Read implements [io.Reader].
func (b *callBody) Read(p []byte) (int, error) {
	b.reading.start(b.limit)
	n, err := b.received.Body.Read(p)
	b.reading.stop()
	switch err {
	case nil:
	case io.EOF: //nolint:errorlint // an end that is wrapped is none
		if b.handed.Trailer == nil {
			b.handed.Trailer = b.received.Trailer // which is there since now
		} else {
			maps.Copy(b.handed.Trailer, b.received.Trailer) // as net/http does: others may share it
		}
		b.whole.Store(true)
	default:
		if stalled, ok := errors.AsType[*stallError](context.Cause(b.handed.Context())); ok {
			err = stalled // the connection's own names its addresses
		}
	}
	return n, err
}

// Close implements [io.Closer].
func (b *callBody) Close() error {
	defer (*call)(b).limitDiscard()()
	return b.received.Body.Close()
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
