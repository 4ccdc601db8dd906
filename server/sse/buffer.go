package sse

import (
	"math/bits"
	"sync"
)

const (
	// minBuffer is what an idle stream holds: some ten ordinary events.
	minBuffer = 4 << 10

	// maxShared is the largest buffer that is kept for other streams.
	maxShared = 1 << 20
)

// buffers holds the released buffers of minBuffer, twice that, and so on to
// maxShared. That a stream may grow and give back its buffer with every large
// event, at the price of a copy, is what lets it hold a small one in between.
var buffers [9]sync.Pool

// bufferSize returns the size of the buffer for a stream that has held bytes
// to keep: at least half as many again, and the smallest possible.
func bufferSize(held, limit int) int {
	size := minBuffer
	for size < held+held/2 {
		size *= 2
	}
	if size-minBuffer > limit {
		return limit + minBuffer
	}
	return size
}

// getBuffer returns a buffer of size bytes, with anything in it.
func getBuffer(size int) []byte {
	if class, ok := bufferClass(size); ok {
		if buf, ok := buffers[class].Get().(*[]byte); ok {
			return *buf
		}
	}
	return make([]byte, size)
}

// putBuffer keeps buf for the next getBuffer of its size.
func putBuffer(buf []byte) {
	if class, ok := bufferClass(len(buf)); ok {
		shared := buf // buf itself would be allocated even where it isn't shared
		buffers[class].Put(&shared)
	}
}

// bufferClass returns the index in buffers for a size, if it is one of theirs.
func bufferClass(size int) (int, bool) {
	if size < minBuffer || size > maxShared || size&(size-1) != 0 {
		return 0, false
	}
	return bits.Len(uint(size/minBuffer)) - 1, true
}
