package sse

import (
	"math/bits"
	"sync"
)

const (
	// minBuffer is the buffer size of an idle stream: some ten ordinary events.
	minBuffer = 4 << 10

	// maxShared is the maximum size of a pooled buffer.
	maxShared = 1 << 20
)

// buffers are pools of released buffers with sizes from minBuffer to maxShared, in
// powers of two. A stream releases a large buffer after each large event, at the cost of
// a copy, and holds a small one otherwise.
var buffers [9]sync.Pool

// bufferSize returns the buffer size for a stream with the given number of buffered
// bytes: the smallest size with at least half of it free.
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

// getBuffer returns a buffer of size bytes with arbitrary contents.
func getBuffer(size int) []byte {
	if class, ok := bufferClass(size); ok {
		if buf, ok := buffers[class].Get().(*[]byte); ok {
			return *buf
		}
	}
	return make([]byte, size)
}

// putBuffer returns a buffer to its pool.
func putBuffer(buf []byte) {
	if class, ok := bufferClass(len(buf)); ok {
		shared := buf // buf itself would always be allocated
		buffers[class].Put(&shared)
	}
}

// bufferClass returns the index of the pool for a size, if there is one.
func bufferClass(size int) (int, bool) {
	if size < minBuffer || size > maxShared || size&(size-1) != 0 {
		return 0, false
	}
	return bits.Len(uint(size/minBuffer)) - 1, true
}
