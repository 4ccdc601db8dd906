package upstream

import "sync"

// queueBlockSize is the size in bytes of each block of a byteQueue.
const queueBlockSize = 8 << 10

type queueBlock struct {
	start, end int // data[start:end] is unread
	data       [queueBlockSize]byte
}

var queueBlocks = sync.Pool{New: func() any { return new(queueBlock) }}

// byteQueue is a FIFO queue of bytes, stored in pooled blocks. An empty queue holds none.
type byteQueue []*queueBlock

// write appends a copy of p.
func (q *byteQueue) write(p []byte) {
	for len(p) > 0 {
		if len(*q) == 0 || (*q)[len(*q)-1].end == queueBlockSize {
			block := queueBlocks.Get().(*queueBlock)
			block.start, block.end = 0, 0
			*q = append(*q, block)
		}
		last := (*q)[len(*q)-1]
		n := copy(last.data[last.end:], p)
		last.end += n
		p = p[n:]
	}
}

// read moves up to len(p) bytes from the front of the queue to p.
func (q *byteQueue) read(p []byte) (n int) {
	for n < len(p) && len(*q) > 0 {
		first := (*q)[0]
		copied := copy(p[n:], first.data[first.start:first.end])
		n += copied
		if first.start += copied; first.start == first.end {
			queueBlocks.Put(first)
			(*q)[0] = nil
			*q = (*q)[1:]
		}
	}
	if len(*q) == 0 {
		*q = nil
	}
	return n
}

// reset empties the queue.
func (q *byteQueue) reset() {
	for _, block := range *q {
		queueBlocks.Put(block)
	}
	*q = nil
}
