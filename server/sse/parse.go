package sse

import (
	"bytes"
	"io"
	"strings"
)

// draft is the current event without its data, which is in the Reader's buffer.
type draft struct {
	size    int // bytes of its lines of known fields, without line ends
	typ     string
	hasData bool
}

// parse parses the buffer up to the end of the next event, and reports whether there
// is a complete one.
func (r *Reader) parse() (Event, bool, error) {
	if !r.skipBOM() {
		return Event{}, false, nil
	}
	for {
		start, end, ok := r.nextLine()
		switch {
		case !ok:
			return Event{}, false, r.checkPartialLine()
		case r.skipping:
			r.skipping = false
		case start == end:
			if completed, isEvent := r.complete(); isEvent {
				return completed, true, nil
			}
		default:
			if err := r.field(start, end); err != nil {
				return Event{}, false, err
			}
		}
	}
}

// finish parses the remaining bytes at the end of the source.
func (r *Reader) finish() (Event, error) {
	if r.failure != nil {
		return Event{}, r.failure
	}
	if isField, _ := beginsField(r.buf[r.line:r.end]); isField {
		if err := r.field(r.line, r.end); err != nil {
			return Event{}, err
		}
	} else if r.draft.size == 0 {
		return Event{}, io.EOF
	}
	unfinished, _ := r.complete()
	return unfinished, ErrUnfinished
}

// skipBOM skips a byte order mark at the start of the stream. It reports false if
// more bytes are needed to detect it.
func (r *Reader) skipBOM() bool {
	const bom = "\xEF\xBB\xBF"
	if r.pastBOM {
		return true
	}
	start := string(r.buf[:min(r.end, len(bom))])
	if len(start) < len(bom) && strings.HasPrefix(bom, start) {
		return false
	}
	r.pastBOM = true
	if start == bom {
		r.line, r.searched = len(bom), len(bom)
	}
	return true
}

// nextLine returns the position of the next complete line in the buffer, without its
// line end. A CR ends the line immediately: waiting for an LF would delay a complete
// event.
func (r *Reader) nextLine() (start, end int, ok bool) {
	if r.afterCR && r.line < r.end {
		r.afterCR = false
		if r.buf[r.line] == '\n' {
			r.line++
			r.searched = r.line
		}
	}
	n := indexLineEnd(r.buf[r.searched:r.end])
	if n < 0 {
		r.searched = r.end
		return 0, 0, false
	}
	start, end = r.line, r.searched+n
	r.afterCR = r.buf[end] == '\r'
	r.line, r.searched = end+1, end+1
	return start, end, true
}

// indexLineEnd returns the index of the first CR or LF in b, or -1.
func indexLineEnd(b []byte) int {
	// Each window is searched for LF and, up to it, for CR. A single window would take
	// quadratic time for lines that end with CR.
	const window = 1 << 10
	for start := 0; start < len(b); start += window {
		part := b[start:min(start+window, len(b))]
		lf := bytes.IndexByte(part, '\n')
		if lf >= 0 {
			part = part[:lf]
		}
		if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
			return start + cr
		}
		if lf >= 0 {
			return start + lf
		}
	}
	return -1
}

// checkPartialLine checks an incomplete line. It drops a line that will be ignored, so
// that it needs no memory, and returns an error for a line that exceeds the limit.
func (r *Reader) checkPartialLine() error {
	line := r.buf[r.line:r.end]
	if len(line) == 0 {
		return nil
	}
	isField, certain := beginsField(line)
	if r.skipping || !isField {
		r.skipping = true
		r.line = r.end
		return nil
	}
	if certain {
		return r.checkSize(line)
	}
	return nil
}

// beginsField reports whether a partial line may be a known field, and whether it
// certainly is: "dat" may become "data: …" or "date".
func beginsField(line []byte) (isField, certain bool) {
	for _, name := range [...]string{"data", "event", "id", "retry"} {
		if len(line) > len(name) {
			if line[len(name)] == ':' && string(line[:len(name)]) == name {
				return true, true
			}
		} else if len(line) > 0 && string(line) == name[:len(line)] {
			return true, false
		}
	}
	return false, false
}

// field processes the line buf[start:end], which is not blank.
func (r *Reader) field(start, end int) error {
	line := r.buf[start:end]
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data", "event", "id", "retry":
	default: // a comment, whose name is empty, or an unknown field
		return nil
	}
	if err := r.checkSize(line); err != nil {
		return err
	}
	r.draft.size += len(line)
	switch string(name) {
	case "data":
		r.addData(end-len(value), end)
	case "event":
		if r.lastType != string(value) {
			r.lastType = string(value)
		}
		r.draft.typ = r.lastType
	case "id":
		if r.id != string(value) && bytes.IndexByte(value, 0) < 0 {
			r.id = string(value)
		}
	}
	return nil
}

// checkSize returns an error if line makes the event exceed the limit.
func (r *Reader) checkSize(line []byte) error {
	if r.draft.size+len(line) > r.limit {
		return &TooLargeError{Limit: r.limit}
	}
	return nil
}

// addData adds the value of a line to the event's data. The first value stays in place,
// and the others are moved to its end.
func (r *Reader) addData(start, end int) {
	if !r.draft.hasData {
		r.draft.hasData = true
		r.dataStart, r.dataEnd = start, end
		return
	}
	r.buf[r.dataEnd] = '\n'
	r.dataEnd++
	r.dataEnd += copy(r.buf[r.dataEnd:], r.buf[start:end])
}

// complete returns the event that ends with a blank line, and reports whether it has
// data: the standard ignores events without data. It starts the next event.
func (r *Reader) complete() (Event, bool) {
	completed, isEvent := Event{
		Type: r.draft.typ,
		Data: r.buf[r.dataStart:r.dataEnd:r.dataEnd],
		ID:   r.id,
	}, r.draft.hasData
	r.draft = draft{}
	r.dataStart, r.dataEnd = 0, 0
	return completed, isEvent
}
