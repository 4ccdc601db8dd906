package sse

import "bytes"

// PushReader extracts the data of events from a stream that is written to it in pieces. It
// needs constant memory, regardless of the size of an event, whereas a [Reader] buffers whole
// events. Set its functions before use. It is not safe for concurrent use.
type PushReader struct {
	// Data is called with each piece of the data of an event.
	Data func(piece []byte)
	// End is called at the end of each event with a data line. It is not called for an
	// unfinished event at the end of the stream.
	End func()

	state   pushState
	matched uint8 // number of bytes of the byte order mark, or of "data:", read so far
	pastBOM bool  // a byte order mark is no longer possible
	afterCR bool  // the previous line ended with CR: an LF here belongs to it
	inEvent bool  // the event has a line of data
}

type pushState uint8

const (
	pushName  pushState = iota // before the end of "data:"
	pushSpace                  // before the data, where one space is ignored
	pushData
	pushIgnored // in a line of another field
)

const (
	byteOrderMark = "\ufeff"
	dataField     = "data:"
)

// Push reads the next piece of the stream.
func (r *PushReader) Push(p []byte) {
	if !r.pastBOM {
		p = r.skipBOM(p)
	}
	nextLF := -1 // the index of the next LF, if it is known
	for at := 0; at < len(p); {
		if nextLF < at {
			if nextLF = bytes.IndexByte(p[at:], '\n'); nextLF < 0 {
				nextLF = len(p)
			} else {
				nextLF += at
			}
		}
		if r.afterCR {
			r.afterCR = false
			if p[at] == '\n' {
				at++
				continue
			}
		}
		end := nextLF
		if cr := bytes.IndexByte(p[at:nextLF], '\r'); cr >= 0 {
			end = at + cr
			r.afterCR = true
		}
		r.part(p[at:end])
		if end < len(p) {
			r.endLine()
		}
		at = end + 1
	}
}

// skipBOM skips a byte order mark at the beginning of the stream. A part of one begins an
// unknown field.
func (r *PushReader) skipBOM(p []byte) []byte {
	for i, c := range p {
		if c != byteOrderMark[r.matched] {
			r.pastBOM = true
			if r.matched > 0 {
				r.state = pushIgnored
			}
			r.matched = 0
			return p[i:]
		}
		if r.matched++; int(r.matched) == len(byteOrderMark) {
			r.pastBOM, r.matched = true, 0
			return p[i+1:]
		}
	}
	return nil
}

// part reads a part of a line.
func (r *PushReader) part(p []byte) {
	if r.state == pushName {
		n := 0
		for n < len(p) && int(r.matched) < len(dataField) && p[n] == dataField[r.matched] {
			n++
			r.matched++
		}
		p = p[n:]
		switch {
		case int(r.matched) == len(dataField):
			r.state = pushSpace
			r.beginData()
		case len(p) > 0:
			r.state = pushIgnored
		}
	}
	if r.state == pushSpace && len(p) > 0 {
		r.state = pushData
		if p[0] == ' ' {
			p = p[1:]
		}
	}
	if r.state == pushData && len(p) > 0 {
		r.Data(p)
	}
}

var newline = []byte("\n")

// beginData begins a line of data. Several lines are joined by LF.
func (r *PushReader) beginData() {
	if r.inEvent {
		r.Data(newline)
	}
	r.inEvent = true
}

func (r *PushReader) endLine() {
	switch {
	case r.state != pushName:
	case int(r.matched) == len(dataField)-1: // "data" without a colon
		r.beginData()
	case r.matched == 0 && r.inEvent: // a blank line
		r.inEvent = false
		r.End()
	}
	r.state, r.matched = pushName, 0
}
