// Package sse parses streams of Server-Sent Events. Each event is returned as soon
// as its last byte has arrived.
//
// The grammar follows the WHATWG HTML standard, sections 9.2.5 and 9.2.6:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
// A [Reader] differs from the standard's browser in three ways:
//   - Invalid UTF-8 is not replaced. The caller decodes [Event.Data].
//   - An unfinished event at the end of the stream is not dropped silently: see
//     [ErrUnfinished].
//   - The Reader does not reconnect. It returns the ID and ignores the retry time.
package sse

import (
	"fmt"
	"io"
)

// Event is one event of a stream.
type Event struct {
	// Type is the value of the event's last "event" line. It is empty if the line is
	// missing or empty; a browser then uses "message".
	Type string

	// Data contains the values of the event's "data" lines, joined with LF. It may
	// be empty, since an empty "data" line is an event as well. It is part of the
	// Reader's buffer and valid until the next call of Next or Release.
	Data []byte

	// ID is the stream's last event ID. According to the standard it applies to all
	// events until the stream sends another one.
	ID string
}

// ErrUnfinished is returned by [Reader.Next] if the source ends with [io.EOF] inside
// an event: after at least a part of a line of a known field, but without the blank
// line that completes the event.
//
// The standard discards such an event. Next returns it together with this error, as
// if a blank line had completed it, since some servers omit the last line ends of a
// stream. A caller that knows the last event of its stream can compare Data with it.
// Any other event must be considered truncated.
//
// ErrUnfinished wraps [io.ErrUnexpectedEOF]. Compare with ErrUnfinished itself: a
// source may fail with io.ErrUnexpectedEOF as well, without an event.
var ErrUnfinished = fmt.Errorf("the event stream ended inside an event: %w", io.ErrUnexpectedEOF)

// TooLargeError is returned by [Reader.Next] if an event exceeds the limit of the
// Reader.
type TooLargeError struct {
	Limit int // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("an event of the stream is larger than the limit of %d bytes", e.Limit)
}
