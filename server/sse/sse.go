// Package sse turns a stream of bytes into Server-Sent Events, each handed on
// as soon as its last byte has arrived.
//
// The grammar is that of the WHATWG HTML standard, sections 9.2.5 and 9.2.6:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
// A [Reader] differs from the browser that the standard describes in three
// ways:
//   - Bytes stay as they are. A browser replaces invalid UTF-8; here it is for
//     whoever decodes [Event.Data] to judge.
//   - An event that the end of the stream cuts off is not dropped in silence:
//     see [ErrUnfinished].
//   - Nothing is connected again. The id and the retry time, which serve that,
//     are handed to the caller.
package sse

import (
	"fmt"
	"io"
)

// Event is one event of a stream.
type Event struct {
	// Type is the value of the event's last "event" line. It is empty where
	// the stream gives none, or an empty one; a browser then says "message".
	Type string

	// Data is the values of the event's "data" lines, joined by LF. It may be
	// empty: a lone "data" line makes an event too. It is a part of the
	// Reader's buffer, valid until the next call of Next or Release.
	Data []byte

	// ID is the stream's last event ID. By the standard it stays from event to
	// event until the stream sends another one.
	ID string
}

// ErrUnfinished is what [Reader.Next] returns when the source ended properly,
// by [io.EOF], but inside an event: after a line of a known field or the
// beginning of one, without the blank line that completes the event.
//
// The standard discards such an event. Next returns it together with this
// error, as a blank line would have completed it, since some servers leave out
// the last line ends of their stream: a caller that knows what its stream's
// last event says can compare Data and accept exactly that. Anything else must
// count as cut short, as nothing tells whether more of it was to come.
//
// It wraps [io.ErrUnexpectedEOF]. Compare with ErrUnfinished itself, as a
// source may fail with that error too, and no event comes with it then.
var ErrUnfinished = fmt.Errorf("the event stream ended inside an event: %w", io.ErrUnexpectedEOF)

// TooLargeError is what [Reader.Next] returns when an event exceeds the limit
// given to [NewReader].
type TooLargeError struct {
	Limit int // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("an event of the stream is larger than the limit of %d bytes", e.Limit)
}
