package usage

import (
	"bytes"
	"slices"
)

// formReader finds the parts of multipart/form-data (RFC 2046, section 5.1) in pieces of
// any size. All servers read a form in the same way if the boundary occurs only in
// delimiters, each on a line that ends with CRLF, and nothing precedes the first
// delimiter, except one CRLF, or follows the last.
type formReader struct {
	form      *form
	delimiter []byte // "--" and the boundary
	state     formState
	pending   []byte // the bytes of previous pieces that have not been read
	rest      []byte // the bytes of pending that have not been read
	ambiguous bool   // servers may read it differently
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

// maxFormPiece bounds the pieces that are copied.
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

// step reads on. It reports whether there may be more to read.
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
		r.drop(len(r.rest) - 3) // One byte too many suffices.
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
		// The rest may begin a delimiter, with its line end.
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

// drop removes the first n bytes of rest, none if n is negative.
func (r *formReader) drop(n int) { r.rest = r.rest[max(n, 0):] }
