package usage

import (
	"bytes"
	"slices"
)

// formReader finds the parts of multipart/form-data (RFC 2046 §5.1), in pieces of any
// size. A form is read alike by every server if the boundary stands nowhere but in
// delimiters, each on a line of its own that ends with CRLF, and nothing is before the
// first, but perhaps a CRLF, or behind the last.
type formReader struct {
	form      *form
	delimiter []byte // "--" and the boundary
	state     formState
	pending   []byte // what came and wasn't read in earlier pieces
	rest      []byte // the rest of kept that is still to be read
	ambiguous bool   // not everyone reads it alike
}

type formState uint8

const (
	formStart     formState = iota
	formDelimiter           // the delimiter was there: its end comes
	formHead                // of a part
	formValue
	formEnd // the last delimiter was there
	formBroken
)

// maxPartHead bounds, in bytes, the head of a part.
const maxPartHead = 4 << 10

func newFormReader(boundary string, found *form) *formReader {
	r := &formReader{form: found, delimiter: []byte("--" + boundary)}
	if boundary == "" {
		r.state = formBroken
	}
	return r
}

// more reports whether anything can follow.
func (r *formReader) expectsMore() bool { return r.state != formEnd && r.state != formBroken }

// whole reports whether the form is over.
func (r *formReader) isComplete() bool { return r.state == formEnd }

// alike reports whether every server reads what came alike.
func (r *formReader) isUnambiguous() bool { return !r.ambiguous && r.state != formBroken }

// maxFormPiece bounds, in bytes, the pieces that are copied to be read.
const maxFormPiece = 32 << 10

// write reads the next piece. It keeps nothing of p.
func (r *formReader) write(p []byte) {
	for piece := range slices.Chunk(p, maxFormPiece) {
		r.pending = append(r.pending, piece...)
		r.rest = r.pending
		for r.step() {
		}
		r.pending = append(r.pending[:0], r.rest...)
	}
}

// finish is told that nothing follows.
func (r *formReader) finish() {
	if r.state != formEnd {
		r.state = formBroken
	}
}

// step reads on in what is left, and reports whether there may be more to read.
func (r *formReader) step() bool {
	switch r.state {
	case formStart:
		return r.start()
	case formDelimiter:
		return r.endDelimiter()
	case formHead:
		return r.readHead()
	case formValue:
		return r.readValue()
	case formEnd:
		r.ambiguous = r.ambiguous || len(r.rest) > 2 || string(r.rest) != "\r\n"[:len(r.rest)]
		r.drop(len(r.rest) - 3) // One byte too many is enough to see.
	default:
		r.rest = nil
	}
	return false
}

// start looks for the first delimiter.
func (r *formReader) start() bool {
	at := bytes.Index(r.rest, r.delimiter)
	if at < 0 {
		if most := len("\r\n") + len(r.delimiter); len(r.rest) > most {
			r.ambiguous = true
			r.drop(len(r.rest) - most)
		}
		return false
	}
	r.ambiguous = r.ambiguous || at != 0 && (at != 2 || string(r.rest[:2]) != "\r\n")
	r.drop(at + len(r.delimiter))
	r.state = formDelimiter
	return true
}

func (r *formReader) endDelimiter() bool {
	if len(r.rest) < 2 {
		return false
	}
	switch string(r.rest[:2]) {
	case "\r\n":
		r.state = formHead
	case "--":
		r.state = formEnd
	default:
		r.state = formBroken
		return false
	}
	r.drop(2)
	return true
}

func (r *formReader) readHead() bool {
	at := bytes.Index(r.rest, []byte("\r\n\r\n"))
	if at < 0 && len(r.rest) <= maxPartHead {
		return false
	}
	if at < 0 || at > maxPartHead || bytes.Contains(r.rest[:at], r.delimiter) {
		r.state = formBroken
		return false
	}
	part, alike := parsePart(string(r.rest[:at]))
	if !alike {
		r.state = formBroken
		return false
	}
	r.form.begin(part)
	r.drop(at + 4)
	r.state = formValue
	return true
}

func (r *formReader) readValue() bool {
	at := bytes.Index(r.rest, r.delimiter)
	if at < 0 {
		// A delimiter may have begun, and its line break.
		if n := len(r.rest) - len(r.delimiter) - 1; n > 0 {
			r.form.data(r.rest[:n])
			r.drop(n)
		}
		return false
	}
	if at < 2 || string(r.rest[at-2:at]) != "\r\n" {
		r.state = formBroken
		return false
	}
	r.form.data(r.rest[:at-2])
	r.form.end()
	r.drop(at + len(r.delimiter))
	r.state = formDelimiter
	return true
}

// drop is told that the first bytes of what is left are read, of which there may be
// none.
func (r *formReader) drop(n int) { r.rest = r.rest[max(n, 0):] }
