package upstream

import "sync"

// chunkSize is the size of the pieces, in bytes, in which chunks keep what came.
const chunkSize = 8 << 10

// chunk is one piece.
type chunk struct {
	from, to int // what of data was written, and not read
	data     [chunkSize]byte
}

var spareChunks = sync.Pool{New: func() any { return new(chunk) }}

// chunks is a queue of bytes. An empty one takes no memory.
type chunks []*chunk

// write appends p.
func (c *chunks) write(p []byte) {
	for len(p) > 0 {
		if len(*c) == 0 || (*c)[len(*c)-1].to == chunkSize {
			fresh := spareChunks.Get().(*chunk)
			fresh.from, fresh.to = 0, 0
			*c = append(*c, fresh)
		}
		last := (*c)[len(*c)-1]
		n := copy(last.data[last.to:], p)
		last.to += n
		p = p[n:]
	}
}

// read takes up to len(p) bytes.
func (c *chunks) read(p []byte) (n int) {
	for n < len(p) && len(*c) > 0 {
		first := (*c)[0]
		copied := copy(p[n:], first.data[first.from:first.to])
		n += copied
		if first.from += copied; first.from == first.to {
			spareChunks.Put(first)
			(*c)[0] = nil
			*c = (*c)[1:]
		}
	}
	if len(*c) == 0 {
		*c = nil
	}
	return n
}

// drop lets go of everything.
func (c *chunks) drop() {
	for _, one := range *c {
		spareChunks.Put(one)
	}
	*c = nil
}
