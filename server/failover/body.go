package failover

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// MaxBodyBytes is the maximum Content-Length of a request body that is buffered for
// retries. It suffices for long conversations and for some images.
const MaxBodyBytes = 1 << 20

// body provides each attempt of a request with its content.
type body struct {
	memory *bytes.Reader // the buffered body; nil if it is not buffered
	stream *stream       // a body that is not buffered; nil for none
}

// newBody returns the content of a request. It buffers the body, unless it is too long,
// exceeds the memory budget, or is held back by an expectation (RFC 9110 §10.1.1).
func newBody(req *upstream.Request, hold *memory.Hold) *body {
	switch source := req.Body.(type) {
	case nil:
		return &body{}
	case *bytes.Reader:
		return &body{memory: source}
	}
	if req.ContentLength <= 0 || req.ContentLength > MaxBodyBytes || len(req.Header["Expect"]) > 0 {
		return &body{stream: &stream{source: req.Body}}
	}
	read, err := readAll(hold.BodyReader(req.Body), int(req.ContentLength))
	if _, exceeded := errors.AsType[*memory.LimitError](err); exceeded {
		err = nil // the rest is streamed
	}
	if err != io.EOF || len(read) != int(req.ContentLength) { //nolint:errorlint // a wrapped io.EOF is not the end of the body
		// It is sent as received, and fails as it would have without buffering.
		rest := req.Body
		if err != nil {
			rest = errorReader{err}
		}
		return &body{stream: &stream{source: prefixedBody{io.MultiReader(bytes.NewReader(read), rest), req.Body}}}
	}
	closeBody(req.Body)
	return &body{memory: bytes.NewReader(read)}
}

// readAll reads a body to its end, or one byte beyond its Content-Length. It allocates
// for the received bytes, not for the Content-Length.
func readAll(source io.Reader, length int) (read []byte, err error) {
	for err == nil && len(read) <= length {
		read = slices.Grow(read, min(length-len(read)+1, max(len(read), 4<<10)))
		var n int
		n, err = source.Read(read[len(read):min(cap(read), length+1)])
		read = read[:len(read)+n]
	}
	return read, err
}

// next returns the content for another attempt. It reports false if part of the content
// is no longer available.
func (b *body) next() (io.Reader, bool) {
	switch {
	case b.memory != nil:
		copied := *b.memory
		return &copied, true
	case b.stream != nil:
		return b.stream.next()
	default:
		return nil, true
	}
}

// length returns the length of a buffered body, and false for any other body.
func (b *body) length() (int64, bool) {
	if b.memory == nil {
		return 0, false
	}
	return int64(b.memory.Len()), true
}

// finalize declares that there will be no further attempt.
func (b *body) finalize() {
	if b.stream != nil {
		b.stream.finalize()
	}
}

// stream is a body that is not buffered. Attempts lease it in turn until one reads it.
type stream struct {
	source io.Reader

	mu     sync.Mutex
	owner  *lease // guarded by mu: the lease that may read
	read   bool   // guarded by mu
	final  bool   // guarded by mu: there will be no other lease
	closed bool   // guarded by mu: the owner has closed it
}

// lease is a stream as one attempt sees it.
type lease struct{ *stream }

func (s *stream) next() (io.Reader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read {
		return nil, false
	}
	s.owner, s.closed = &lease{s}, false
	return s.owner, true
}

// Read implements [io.Reader]. It fails after the attempt.
func (l *lease) Read(p []byte) (int, error) {
	l.mu.Lock()
	expired := l.owner != l || l.closed
	l.read = l.read || !expired
	l.mu.Unlock()
	if expired {
		return 0, io.ErrClosedPipe
	}
	return l.source.Read(p)
}

// Close implements [io.Closer].
func (l *lease) Close() error {
	l.mu.Lock()
	last := l.owner == l && !l.closed
	l.closed = l.closed || last
	last = last && l.final
	l.mu.Unlock()
	if last {
		closeBody(l.source)
	}
	return nil
}

func (s *stream) finalize() {
	s.mu.Lock()
	s.final = true
	closed := s.closed
	s.mu.Unlock()
	if closed {
		closeBody(s.source)
	}
}

// prefixedBody is a body whose beginning was read.
type prefixedBody struct {
	io.Reader

	source io.Reader
}

// Close implements [io.Closer].
func (b prefixedBody) Close() error {
	closeBody(b.source)
	return nil
}

// errorReader fails with an error.
type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}
