package sse

import (
	"io"
)

// maxEmptyReads is the maximum number of consecutive reads without bytes or an error,
// as in package bufio.
const maxEmptyReads = 100

// Reader reads the events of one stream. It is not safe for concurrent use.
type Reader struct {
	source io.Reader
	limit  int

	// buf holds the data of the current event, followed by the current line. The
	// other parts have been parsed.
	//
	//	buf[dataStart:dataEnd]  the event's data so far
	//	buf[line:searched]      the part of the line without a line end
	//	buf[searched:end]       unparsed bytes
	buf                []byte
	dataStart, dataEnd int
	line, searched     int
	end                int

	draft    draft
	id       string // the last event ID
	lastType string // of an earlier event, to reuse its memory

	pastBOM  bool // a byte order mark is no longer possible
	afterCR  bool // the previous line ended with CR: an LF here belongs to it
	skipping bool // the current line is ignored and its bytes are dropped

	ended   bool  // the source has ended
	failure error // its error other than io.EOF

	next  Event // what Next returns, if ready or with err
	ready bool
	err   error
}

// NewReader returns a Reader of the event stream that source delivers.
//
// The limit maxEvent applies to the lines of an event without line ends, in bytes.
// Comments and unknown fields do not count, and need no memory regardless of their
// length. The buffer of the Reader has 4 KiB and grows only while it contains a large
// event, up to maxEvent plus 4 KiB.
func NewReader(source io.Reader, maxEvent int) *Reader {
	return &Reader{source: source, limit: maxEvent}
}

// Next returns the next event. It reads from the source only if no complete event is
// buffered.
//
// The error is
//   - [io.EOF] at the end of the stream between two events, or within blank lines,
//     comments and unknown fields;
//   - [ErrUnfinished], with the event so far, at the end inside an event;
//   - a [*TooLargeError] for an event that exceeds the limit;
//   - the unwrapped error of the source, after all complete events. An incomplete
//     event is lost;
//   - [io.ErrNoProgress] if the source repeatedly returns neither bytes nor an error.
//
// Errors are final: later calls return the same error.
func (r *Reader) Next() (Event, error) {
	for !r.Buffered() {
		r.fill()
	}
	if r.err != nil {
		return r.next, r.err
	}
	r.ready = false
	return r.next, nil
}

// Buffered reports whether Next would return without reading from the source, because
// a complete event or an error is available. A caller that forwards events can delay
// flushing while it is true. The event last returned by Next stays valid.
func (r *Reader) Buffered() bool {
	if !r.ready && r.err == nil {
		r.next, r.ready, r.err = r.parse()
	}
	if !r.ready && r.err == nil && r.ended {
		r.next, r.err = r.finish()
	}
	return r.ready || r.err != nil
}

// Release releases the Reader's buffer for other Readers. The Data of the last event
// must no longer be used. The source is not closed. Later calls of Next return
// [io.ErrClosedPipe], and later calls of Release have no effect.
func (r *Reader) Release() {
	buf := r.buf
	*r = Reader{err: io.ErrClosedPipe}
	putBuffer(buf)
}

// fill reads from the source once there is room.
func (r *Reader) fill() {
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.source.Read(r.buf[r.end:])
		r.end += n
		// Not errors.Is: an error that wraps io.EOF is a failure.
		if err == io.EOF {
			r.ended = true
		} else if err != nil {
			r.ended, r.failure = true, err
		}
		if n > 0 || r.ended {
			return
		}
	}
	r.ended, r.failure = true, io.ErrNoProgress
}

// makeRoom moves the needed bytes to the front of a sufficiently large buffer. It
// takes time linear in the size of an event, regardless of the size of its pieces:
// within one buffer, no line moves twice.
func (r *Reader) makeRoom() {
	data, line := r.dataEnd-r.dataStart, r.end-r.line
	if size := bufferSize(data+line, r.limit); size != len(r.buf) {
		buf := getBuffer(size)
		copy(buf, r.buf[r.dataStart:r.dataEnd])
		copy(buf[data:], r.buf[r.line:r.end])
		putBuffer(r.buf)
		r.buf = buf
	} else {
		if r.dataStart > 0 {
			copy(r.buf, r.buf[r.dataStart:r.dataEnd])
		}
		if r.line > data {
			copy(r.buf[data:], r.buf[r.line:r.end])
		}
	}
	r.dataStart, r.dataEnd = 0, data
	r.searched -= r.line - data
	r.line, r.end = data, data+line
}
