package sse

import (
	"io"
	"time"
)

// maxEmptyReads is how often in a row a source may return neither bytes nor an
// error before it counts as broken, as in package bufio.
const maxEmptyReads = 100

// Reader reads the events of one stream. It is not safe for concurrent use.
type Reader struct {
	source io.Reader
	limit  int

	// buf holds the data of the event being built and, behind it, the line
	// being read; what lies elsewhere has been parsed and is not needed.
	//
	//	buf[dataStart:dataEnd]  the event's data so far
	//	buf[line:searched]      the line's bytes, known to hold no line end
	//	buf[searched:end]       the bytes not looked at
	buf                []byte
	dataStart, dataEnd int
	line, searched     int
	end                int

	draft    draft
	id       string        // the last event ID
	retry    time.Duration // valid if hasRetry
	hasRetry bool
	lastType string // an earlier event's, to use its memory again

	pastBOM  bool // the place where a byte order mark may stand is behind
	afterCR  bool // the line before ended with CR: an LF here belongs to it
	skipping bool // the line being read is ignored, and its bytes are dropped

	ended   bool  // the source has nothing more
	failure error // why, unless it ended properly

	next  Event // what Next returns, if ready or with err
	ready bool
	err   error
}

// NewReader returns a Reader of the event stream that source delivers.
//
// An event may take up maxEvent bytes: that is its lines, without their line
// ends. Comments and unknown fields do not count and take no memory, however
// long they are. The Reader's buffer has 4 KiB, is larger only while a large
// event is in it, and never exceeds maxEvent by more than 4 KiB.
func NewReader(source io.Reader, maxEvent int) *Reader {
	return &Reader{source: source, limit: maxEvent}
}

// Next returns the next event. It reads from the source only while no event is
// complete in what was read before.
//
// The error is
//   - [io.EOF] at the end of the stream, between two events. Blank lines,
//     comments and unknown fields may stand there, and be cut off;
//   - [ErrUnfinished], with the event so far, at the end inside an event;
//   - a [*TooLargeError] for an event that exceeds the limit;
//   - the source's own, as it is, after the events that were complete before
//     it. An event that it cut off is lost;
//   - [io.ErrNoProgress] if the source keeps returning nothing at all.
//
// An error is final: every later call returns the same.
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

// Buffered reports whether Next would return without reading from the source,
// since an event is complete in what has been read or an error is certain. A
// caller that passes events on need not flush while it is true. The event that
// Next returned last stays valid.
func (r *Reader) Buffered() bool {
	if !r.ready && r.err == nil {
		r.next, r.ready, r.err = r.parse()
	}
	if !r.ready && r.err == nil && r.ended {
		r.next, r.err = r.finish()
	}
	return r.ready || r.err != nil
}

// Retry returns how long the stream asks its readers to wait before they
// connect again, by the last "retry" line parsed, and whether there was one.
func (r *Reader) Retry() (time.Duration, bool) {
	return r.retry, r.hasRetry
}

// Release gives the Reader's buffer to other Readers; the last event's Data
// must no longer be used. It leaves the source alone. Next returns
// [io.ErrClosedPipe] from then on, and Release does nothing.
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
		// Not errors.Is: an error that wraps io.EOF is no proper end.
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

// makeRoom moves what must be kept to the front of a buffer that has room
// behind it. However small the pieces in which an event arrives, this takes time
// linear in its size: within one buffer, no line of it moves twice.
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
