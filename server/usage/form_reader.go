package usage

import (
	"bytes"
	"slices"
)

// formReader finds the parts of multipart/form-data (RFC 2046, section 5.1), which it
// reads in pieces of any size. All servers read a form in the same way if the boundary
// occurs only in delimiters, each on a line that ends with CRLF, and nothing precedes the
// first delimiter, except one CRLF, or follows the last.
type formReader struct {
	form      *form
	delimiter []byte // "--" and the boundary
	state     formState
	pending   []byte // the unread bytes of previous pieces, and the current piece
	rest      []byte // the unread bytes of pending
	ambiguous bool   // servers may differ in how they read the form
}

type formState uint8

const (
	formStart     formState = iota
	formDelimiter           // before the end of a delimiter
	formHead                // in the header of a part
	formValue
	formEnd // after the last delimiter
	formBroken
)

// maxPartHead bounds the header of a part, in bytes.
const maxPartHead = 4 << 10

func newFormReader(boundary string, found *form) *formReader {
	r := &formReader{form: found, delimiter: []byte("--" + boundary)}
	if boundary == "" {
		r.state = formBroken
	}
	return r
}

// expectsMore reports whether more parts may follow.
func (r *formReader) expectsMore() bool { return r.state != formEnd && r.state != formBroken }

// isComplete reports whether the last delimiter has been read.
func (r *formReader) isComplete() bool { return r.state == formEnd }

// isUnambiguous reports whether all servers read the form so far in the same way.
func (r *formReader) isUnambiguous() bool { return !r.ambiguous && r.state != formBroken }

// maxFormPiece bounds the size of the pieces that are copied to pending.
const maxFormPiece = 32 << 10

// write reads the next piece. It does not retain p.
func (r *formReader) write(p []byte) {
	for piece := range slices.Chunk(p, maxFormPiece) {
		r.pending = append(r.pending, piece...)
		r.rest = r.pending
		for r.step() {
		}
		r.pending = append(r.pending[:0], r.rest...)
	}
}

// finish is called at the end of the body.
func (r *formReader) finish() {
	if r.state != formEnd {
		r.state = formBroken
	}
}

// step reads the next element. It reports whether another step may read more.
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
		r.drop(len(r.rest) - 3) // More than two bytes make the form ambiguous.
	default:
		r.rest = nil
	}
	return false
}

// start looks for the first delimiter.
func (r *formReader) start() bool {
	i := bytes.Index(r.rest, r.delimiter)
	if i < 0 {
		if limit := len("\r\n") + len(r.delimiter); len(r.rest) > limit {
			r.ambiguous = true
			r.drop(len(r.rest) - limit)
		}
		return false
	}
	r.ambiguous = r.ambiguous || i != 0 && (i != 2 || string(r.rest[:2]) != "\r\n")
	r.drop(i + len(r.delimiter))
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
	i := bytes.Index(r.rest, []byte("\r\n\r\n"))
	if i < 0 && len(r.rest) <= maxPartHead {
		return false
	}
	if i < 0 || i > maxPartHead || bytes.Contains(r.rest[:i], r.delimiter) {
		r.state = formBroken
		return false
	}
	part, unambiguous := parsePart(string(r.rest[:i]))
	if !unambiguous {
		r.state = formBroken
		return false
	}
	r.form.begin(part)
	r.drop(i + 4)
	r.state = formValue
	return true
}

func (r *formReader) readValue() bool {
	i := bytes.Index(r.rest, r.delimiter)
	if i < 0 {
		// The last bytes may be a line end and the beginning of a delimiter.
		if n := len(r.rest) - len(r.delimiter) - 1; n > 0 {
			r.form.data(r.rest[:n])
			r.drop(n)
		}
		return false
	}
	if i < 2 || string(r.rest[i-2:i]) != "\r\n" {
		r.state = formBroken
		return false
	}
	r.form.data(r.rest[:i-2])
	r.form.end()
	r.drop(i + len(r.delimiter))
	r.state = formDelimiter
	return true
}

// drop removes the first n bytes of rest, or none if n is negative.
func (r *formReader) drop(n int) { r.rest = r.rest[max(n, 0):] }
