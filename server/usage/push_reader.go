package usage

import (
	"io"
	"iter"
)

// pushReader passes data that is written to it to a function that reads from an
// [io.Reader], such as a decoder. The function runs within write until it needs more
// input, never concurrently. A pushReader must be closed. It is not safe for concurrent
// use.
type pushReader struct {
	resume func() (struct{}, bool)
	stop   func()
	input  []byte
	yield  func(struct{}) bool
}

// newPushReader returns a pushReader of consume. Its reader returns io.EOF after close.
func newPushReader(consume func(io.Reader)) *pushReader {
	p := &pushReader{}
	p.resume, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		consume(p)
	})
	return p
}

// write passes b to the function and reports whether it needs more data. It does not
// retain b.
func (p *pushReader) write(b []byte) bool {
	p.input = b
	_, more := p.resume()
	p.input = nil
	return more
}

// Read implements [io.Reader] for the function.
func (p *pushReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(p.input) == 0 {
		if p.yield == nil || !p.yield(struct{}{}) {
			p.yield = nil // It must not be called again.
			return 0, io.EOF
		}
	}
	n := copy(b, p.input)
	p.input = p.input[n:]
	return n, nil
}

func (p *pushReader) close() { p.stop() }
