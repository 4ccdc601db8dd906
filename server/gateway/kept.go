package gateway

import (
	"errors"
	"io"
	"sync/atomic"
)

// memory is what bodies may take, all together, that are kept until their model is
// known.
type memory struct {
	limit int64
	taken atomic.Int64
}

// errMemory is what a body fails with that there is no memory for.
var errMemory = errors.New("too much is kept of other requests")

// keptBody is a body that is being read into memory.
type keptBody struct {
	io.Reader

	memory *memory
	size   int64 // that was taken for it
	passed bool  // what is read from now on isn't kept
}

// Read implements [io.Reader].
func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.passed {
		return n, err
	}
	b.size += int64(n)
	if b.memory.taken.Add(int64(n)) > b.memory.limit {
		return n, errMemory
	}
	return n, err
}

// Close implements [io.Closer].
func (b *keptBody) Close() error {
	if closer, ok := b.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// release gives the memory back, when the body has been sent or won't be.
func (b *keptBody) release() {
	b.memory.taken.Add(-b.size)
	b.size = 0
}
