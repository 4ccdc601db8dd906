package upstream

import (
	"bytes"
	"io"
	"sync"
)

// replayLimit is how much of a streamed body, in bytes, is kept until there is an
// answer to its request. As long as no more of it was read, the request can be sent
// again. The pieces that are being read come on top, 32 KiB at most.
const maxReplayBytes = 64 << 10

// replay gives each attempt to send a request its body from the beginning. A
// *bytes.Reader of any size can be read again; of any other body the beginning is
// kept, up to [replayLimit].
type bodyReplay struct {
	source io.Reader     // nil if there is none, or it is in memory
	memory *bytes.Reader // the body, if it is in memory

	reading sync.Mutex // held while source is read

	mu         sync.Mutex
	buffer     []byte       // guarded by mu: what was read of source
	overflowed bool         // guarded by mu: it has become too long to be kept
	err        error        // guarded by mu: what ended source
	current    *attemptBody // guarded by mu: the attempt that may read
	open       int          // guarded by mu: attempts that have not closed their body
	final      bool         // guarded by mu: there will be no other attempt
}

func newBodyReplay(body io.Reader) *bodyReplay {
	memory, ok := body.(*bytes.Reader)
	switch {
	case ok && memory.Len() == 0:
		return new(bodyReplay) // an empty body is none
	case ok:
		again := *memory
		return &bodyReplay{memory: &again}
	default:
		return &bodyReplay{source: body}
	}
}

// isWhole reports whether another attempt can have all of the body.
func (r *bodyReplay) isComplete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.overflowed
}

// next returns the body for another attempt, nil if there is none. An earlier attempt
// reads no more.
func (r *bodyReplay) next() io.Reader {
	switch {
	case r.memory != nil:
		again := *r.memory
		return &again
	case r.source == nil:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	r.current = &attemptBody{replay: r}
	return r.current
}

// whole returns all of the body, if that is in memory, or of the length given, up to
// [smallBody]. It waits for what has not come yet. It returns nil for any other body,
// and for one that breaks off.
func (r *bodyReplay) buffered(length int64) *bytes.Reader {
	switch {
	case r.memory != nil:
		again := *r.memory
		return &again
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

// settle says that there will be no other attempt.
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

// replayBody is the body as one attempt has it. Only the last attempt reads.
type attemptBody struct {
	replay *bodyReplay
	offset int // how much was read
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
	// An earlier attempt may just have read.
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

// readKept reads what an earlier attempt has read already, if anything. The error
// is what ended the body there.
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
