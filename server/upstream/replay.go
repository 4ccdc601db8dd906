package upstream

import (
	"bytes"
	"io"
	"sync"
)

// maxReplayBytes is the number of bytes of a streamed body that are buffered until the
// response. While no more were read, the request can be sent again. The piece being read,
// up to 32 KiB, comes on top.
const maxReplayBytes = 64 << 10

// bodyReplay provides each attempt of a request with its body from the beginning. A
// *bytes.Reader of any size can be read again. The beginning of any other body is
// buffered, up to [maxReplayBytes].
type bodyReplay struct {
	source io.Reader     // nil if there is none or it is in memory
	memory *bytes.Reader // the body, if it is in memory

	reading sync.Mutex // held while source is read

	mu         sync.Mutex
	buffer     []byte       // guarded by mu: the part of source that was read
	overflowed bool         // guarded by mu: more than maxReplayBytes were read
	err        error        // guarded by mu: the error that ended source
	current    *attemptBody // guarded by mu: the body of the last attempt
	open       int          // guarded by mu: number of attempt bodies that are not closed
	final      bool         // guarded by mu: there will be no other attempt
}

func newBodyReplay(body io.Reader) *bodyReplay {
	memory, ok := body.(*bytes.Reader)
	switch {
	case ok && memory.Len() == 0:
		return new(bodyReplay) // no body
	case ok:
		copied := *memory
		return &bodyReplay{memory: &copied}
	default:
		return &bodyReplay{source: body}
	}
}

// isComplete reports whether another attempt can read all of the body.
func (r *bodyReplay) isComplete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.overflowed
}

// next returns the body for another attempt, or nil if there is none. Bodies of earlier
// attempts fail from then on.
func (r *bodyReplay) next() io.Reader {
	switch {
	case r.memory != nil:
		copied := *r.memory
		return &copied
	case r.source == nil:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	r.current = &attemptBody{replay: r}
	return r.current
}

// buffered returns all of the body, if it is in memory or has a length of up to
// [smallBody]. It waits for the rest of the body. It returns nil for any other body, and
// for one that can't be read to its end.
func (r *bodyReplay) buffered(length int64) *bytes.Reader {
	switch {
	case r.memory != nil:
		copied := *r.memory
		return &copied
	case r.source == nil || length <= 0 || length > smallBody:
		return nil
	}
	body := r.next()
	defer closeBody(body)
	all, err := io.ReadAll(io.LimitReader(body, length+1))
	if err != nil || int64(len(all)) != length {
		return nil
	}
	return bytes.NewReader(all)
}

// finish declares that there will be no other attempt.
func (r *bodyReplay) finish() {
	if r.source == nil {
		return
	}
	r.mu.Lock()
	r.final = true
	unused := r.open == 0
	r.mu.Unlock()
	if unused {
		closeBody(r.source)
	}
}

// attemptBody is the body for one attempt. Only the body of the last attempt is readable.
type attemptBody struct {
	replay *bodyReplay
	offset int // bytes read
	closed bool
}

// Read implements [io.Reader].
func (b *attemptBody) Read(p []byte) (int, error) {
	if n, err := b.readBuffered(p); n > 0 || err != nil {
		return n, err
	}
	r := b.replay
	r.reading.Lock()
	defer r.reading.Unlock()
	// The body of an earlier attempt may have read meanwhile.
	if n, err := b.readBuffered(p); n > 0 || err != nil {
		return n, err
	}
	n, err := r.source.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	superseded := r.current != b
	switch {
	case r.overflowed || r.final && !superseded:
	case superseded || len(r.buffer)+n <= maxReplayBytes:
		r.buffer = append(r.buffer, p[:n]...)
	default:
		r.overflowed, r.buffer = true, nil
	}
	r.err = err
	if superseded {
		return 0, io.ErrClosedPipe
	}
	if !r.overflowed && !r.final {
		b.offset += n
	}
	return n, err
}

// readBuffered reads from the buffer. At its end it returns the error that ended the
// source, if any.
func (b *attemptBody) readBuffered(p []byte) (int, error) {
	r := b.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != b {
		return 0, io.ErrClosedPipe
	}
	if b.offset < len(r.buffer) {
		n := copy(p, r.buffer[b.offset:])
		b.offset += n
		return n, nil
	}
	return 0, r.err
}

// Close implements [io.Closer].
func (b *attemptBody) Close() error {
	r := b.replay
	r.mu.Lock()
	if b.closed {
		r.mu.Unlock()
		return nil
	}
	b.closed = true
	r.open--
	last := r.open == 0 && r.final
	r.mu.Unlock()
	if last {
		closeBody(r.source)
	}
	return nil
}
