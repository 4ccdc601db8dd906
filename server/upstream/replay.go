package upstream

import (
	"bytes"
	"io"
	"sync"
)

// replayLimit is how much of a streamed body, in bytes, is kept until there is an
// answer to its request. As long as no more of it was read, the request can be sent
// again. The pieces that are being read come on top, 32 KiB at most.
const replayLimit = 64 << 10

// replay gives each attempt to send a request its body from the beginning. A
// *bytes.Reader of any size can be read again; of any other body the beginning is
// kept, up to [replayLimit].
type replay struct {
	source io.Reader     // nil if there is none, or it is in memory
	memory *bytes.Reader // the body, if it is in memory

	reading sync.Mutex // held while source is read

	mu      sync.Mutex
	kept    []byte      // guarded by mu: what was read of source
	lost    bool        // guarded by mu: it has become too long to be kept
	err     error       // guarded by mu: what ended source
	current *replayBody // guarded by mu: the attempt that may read
	users   int         // guarded by mu: attempts that have not closed their body
	settled bool        // guarded by mu: there will be no other attempt
}

func newReplay(body io.Reader) *replay {
	memory, ok := body.(*bytes.Reader)
	switch {
	case ok && memory.Len() == 0:
		return new(replay) // an empty body is none
	case ok:
		again := *memory
		return &replay{memory: &again}
	default:
		return &replay{source: body}
	}
}

// isWhole reports whether another attempt can have all of the body.
func (r *replay) isWhole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.lost
}

// next returns the body for another attempt, nil if there is none. An earlier attempt
// reads no more.
func (r *replay) next() io.Reader {
	switch {
	case r.memory != nil:
		again := *r.memory
		return &again
	case r.source == nil:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users++
	r.current = &replayBody{replay: r}
	return r.current
}

// whole returns all of the body, if that is in memory, or of the length given, up to
// [smallBody]. It waits for what has not come yet. It returns nil for any other body,
// and for one that breaks off.
func (r *replay) whole(length int64) *bytes.Reader {
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
func (r *replay) settle() {
	if r.source == nil {
		return
	}
	r.mu.Lock()
	r.settled = true
	unused := r.users == 0
	r.mu.Unlock()
	if unused {
		closeBody(r.source)
	}
}

// replayBody is the body as one attempt has it. Only the last attempt reads.
type replayBody struct {
	replay *replay
	at     int // how much was read
	closed bool
}

// Read implements [io.Reader].
func (b *replayBody) Read(p []byte) (int, error) {
	if n, err := b.readKept(p); n > 0 || err != nil {
		return n, err
	}
	r := b.replay
	r.reading.Lock()
	defer r.reading.Unlock()
	// An earlier attempt may just have read.
	if n, err := b.readKept(p); n > 0 || err != nil {
		return n, err
	}
	n, err := r.source.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	superseded := r.current != b
	switch {
	case r.lost || r.settled && !superseded:
	case superseded || len(r.kept)+n <= replayLimit:
		r.kept = append(r.kept, p[:n]...)
	default:
		r.lost, r.kept = true, nil
	}
	r.err = err
	if superseded {
		return 0, io.ErrClosedPipe
	}
	if !r.lost && !r.settled {
		b.at += n
	}
	return n, err
}

// readKept reads what an earlier attempt has read already, if anything. The error
// is what ended the body there.
func (b *replayBody) readKept(p []byte) (int, error) {
	r := b.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != b {
		return 0, io.ErrClosedPipe
	}
	if b.at < len(r.kept) {
		n := copy(p, r.kept[b.at:])
		b.at += n
		return n, nil
	}
	return 0, r.err
}

// Close implements [io.Closer].
func (b *replayBody) Close() error {
	r := b.replay
	r.mu.Lock()
	if b.closed {
		r.mu.Unlock()
		return nil
	}
	b.closed = true
	r.users--
	last := r.users == 0 && r.settled
	r.mu.Unlock()
	if last {
		closeBody(r.source)
	}
	return nil
}
