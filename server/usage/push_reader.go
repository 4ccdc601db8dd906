package usage

import (
	"io"
	"iter"
)

// pump lets a function that reads from an [io.Reader], as decoders do, be fed by
// writes instead. The function runs within write, on the writer's time, until it
// needs more than is there: it never runs beside it, and waits for nobody.
//
// Who makes a pump must close it. It is not safe for concurrent use.
type pushReader struct {
	resume func() (struct{}, bool)
	stop   func()
	input  []byte
	yield  func(struct{}) bool
}

// newPump returns a pump of what consume reads. At the end, and when it is
// closed, that is an io.EOF.
func newPushReader(consume func(io.Reader)) *pushReader {
	p := &pushReader{}
	p.resume, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		consume(p)
	})
	return p
}

// write feeds the function, and reports whether it wants more. It keeps nothing of b.
func (p *pushReader) write(b []byte) bool {
	p.input = b
	_, more := p.resume()
	p.input = nil
	return more
}

// Read is what the function reads.
func (p *pushReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(p.input) == 0 {
		if p.yield == nil || !p.yield(struct{}{}) {
			p.yield = nil // it must not be called again
			return 0, io.EOF
		}
	}
	n := copy(b, p.input)
	p.input = p.input[n:]
	return n, nil
}

func (p *pushReader) close() { p.stop() }
