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

// MaxBodyBytes is up to which stated length a request's body is kept until there
// is an answer. It has room for long conversations, and for some images.
const MaxBodyBytes = 1 << 20

// body gives each try of a request its content.
type body struct {
	memory *bytes.Reader // all of it; nil if it isn't kept
	stream *stream       // the one that isn't; nil if there is none
}

// newBody returns the content of a request. It reads what is to be kept, but not
// what an expectation holds back (RFC 9110 §10.1.1), nor what there is no memory for.
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
	if _, short := errors.AsType[*memory.LimitError](err); short {
		err = nil // The rest goes up as it comes.
	}
	if err != io.EOF || len(read) != int(req.ContentLength) { //nolint:errorlint // an end that is wrapped is none
		// Sent as it is, it fails as it would have without having been read here.
		rest := req.Body
		if err != nil {
			rest = failing{err}
		}
		return &body{stream: &stream{source: broken{io.MultiReader(bytes.NewReader(read), rest), req.Body}}}
	}
	closeBody(req.Body)
	return &body{memory: bytes.NewReader(read)}
}

// readAll reads up to the end of a body, or one byte more than it should have.
// Memory is taken for what came, rather than for what was announced.
func readAll(source io.Reader, length int) (read []byte, err error) {
	for err == nil && len(read) <= length {
		read = slices.Grow(read, min(length-len(read)+1, max(len(read), 4<<10)))
		var n int
		n, err = source.Read(read[len(read):min(cap(read), length+1)])
		read = read[:len(read)+n]
	}
	return read, err
}

// next returns the content for another try, and whether there is one that has all
// of it.
func (b *body) next() (io.Reader, bool) {
	switch {
	case b.memory != nil:
		again := *b.memory
		return &again, true
	case b.stream != nil:
		return b.stream.next()
	default:
		return nil, true
	}
}

// length is that of what is kept, and false if it isn't.
func (b *body) length() (int64, bool) {
	if b.memory == nil {
		return 0, false
	}
	return int64(b.memory.Len()), true
}

// settle says that there will be no other try.
func (b *body) settle() {
	if b.stream != nil {
		b.stream.settle()
	}
}

// stream is content that isn't kept. It goes from try to try until one reads it.
type stream struct {
	source io.Reader

	mu      sync.Mutex
	holder  *view // guarded by mu: who may read
	read    bool  // guarded by mu
	settled bool  // guarded by mu: there will be no other holder
	closed  bool  // guarded by mu: by the holder
}

// view is the stream as one try has it.
type view struct{ *stream }

func (s *stream) next() (io.Reader, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read {
		return nil, false
	}
	s.holder, s.closed = &view{s}, false
	return s.holder, true
}

// Read implements [io.Reader]. A try that is over reads nothing.
func (v *view) Read(p []byte) (int, error) {
	v.mu.Lock()
	over := v.holder != v || v.closed
	v.read = v.read || !over
	v.mu.Unlock()
	if over {
		return 0, io.ErrClosedPipe
	}
	return v.source.Read(p)
}

// Close implements [io.Closer].
func (v *view) Close() error {
	v.mu.Lock()
	last := v.holder == v && !v.closed
	v.closed = v.closed || last
	last = last && v.settled
	v.mu.Unlock()
	if last {
		closeBody(v.source)
	}
	return nil
}

func (s *stream) settle() {
	s.mu.Lock()
	s.settled = true
	closed := s.closed
	s.mu.Unlock()
	if closed {
		closeBody(s.source)
	}
}

// broken is a body whose beginning was read.
type broken struct {
	io.Reader

	source io.Reader
}

// Close implements [io.Closer].
func (b broken) Close() error {
	closeBody(b.source)
	return nil
}

// failing is the rest of a body that can't be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}
