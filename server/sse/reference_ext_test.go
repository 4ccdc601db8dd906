package sse_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/sse"
)

// event is a copy of an sse.Event.
type event struct{ typ, data, id string }

func keep(e sse.Event) event {
	return event{typ: e.Type, data: string(e.Data), id: e.ID}
}

// stream is the result of reading a stream.
type stream struct {
	events []event
	err    error // that ends it
	last   event // the event returned with the error
}

// schedule holds the positions at which a Reader may read on: after it has returned the
// complete events.
type schedule struct {
	completeAt []int // number of bytes that complete each event
	refusedAt  int   // number of bytes that reveal an error, if any
}

var (
	knownFields = []string{"data", "event", "id", "retry"}

	lineEnds = regexp.MustCompile("\r\n|\n|\r")
)

// reference parses a whole stream like the standard: it splits it into lines and processes
// them one by one.
func reference(input string, limit int) (stream, schedule) {
	var (
		got  stream
		when schedule

		size              int
		data, typ, lastID string
	)
	process := func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if !slices.Contains(knownFields, name) {
			return nil
		}
		size += len(line)
		if size > limit {
			return &sse.TooLargeError{Limit: limit}
		}
		switch name {
		case "data":
			data += value + "\n"
		case "event":
			typ = value
		case "id":
			if !strings.Contains(value, "\x00") {
				lastID = value
			}
		}
		return nil
	}

	body := strings.TrimPrefix(input, "\uFEFF")
	before := len(input) - len(body)
	at := 0
	for _, lineEnd := range lineEnds.FindAllStringIndex(body, -1) {
		line := body[at:lineEnd[0]]
		at = lineEnd[1]
		needed := before + lineEnd[0] + 1 // the LF of a CRLF is optional
		if line != "" {
			if err := process(line); err != nil {
				got.err = err
				when.refusedAt = needed
				return got, when
			}
			continue
		}
		if data != "" {
			got.events = append(got.events, event{typ: typ, data: strings.TrimSuffix(data, "\n"), id: lastID})
			when.completeAt = append(when.completeAt, needed)
		}
		size, data, typ = 0, "", ""
	}

	rest := body[at:]
	name, _, hasColon := strings.Cut(rest, ":")
	isField := slices.ContainsFunc(knownFields, func(known string) bool {
		return name == known || rest != "" && !hasColon && strings.HasPrefix(known, rest)
	})
	switch err := process(rest); {
	case err != nil:
		got.err = err
	case size > 0 || isField:
		got.err = sse.ErrUnfinished
		got.last = event{typ: typ, data: strings.TrimSuffix(data, "\n"), id: lastID}
	default:
		got.err = io.EOF
	}
	return got, when
}

// watched is a source that fails the test if it is read too early.
type watched struct {
	t      *testing.T
	source io.Reader
	when   schedule

	reads, handed, delivered int
}

func (w *watched) Read(p []byte) (int, error) {
	w.reads++
	complete, _ := slices.BinarySearch(w.when.completeAt, w.handed+1)
	if w.delivered < complete {
		w.t.Fatalf("asked for more after %d bytes, which complete %d events: %d are delivered",
			w.handed, complete, w.delivered)
	}
	if w.when.refusedAt > 0 && w.handed >= w.when.refusedAt {
		w.t.Fatalf("asked for more after %d bytes: %d show the error", w.handed, w.when.refusedAt)
	}
	n, err := w.source.Read(p)
	w.handed += n
	return n, err
}

// read reads a stream to its end. It checks that each event is returned before more is
// read, that Buffered predicts Next, and that the caller's event and the Reader's buffer do
// not overlap.
func read(t *testing.T, source io.Reader, limit int, when schedule) stream {
	t.Helper()
	var got stream
	from := &watched{t: t, source: source, when: when}
	reader := sse.NewReader(from, limit)
	defer reader.Release()
	for {
		buffered, reads := reader.Buffered(), from.reads
		next, err := reader.Next()
		if hasRead := from.reads > reads; hasRead == buffered {
			t.Fatalf("Buffered() = %v before event %d, and Next has read: %v", buffered, from.delivered, hasRead)
		}
		before := keep(next)
		_ = append(next.Data, "this is not the Reader's"...)
		reader.Buffered()
		if after := keep(next); after != before {
			t.Fatalf("Buffered has changed the event %q to %q", before, after)
		}
		if err != nil {
			again, sameErr := reader.Next()
			if keep(again) != before || !errors.Is(sameErr, err) {
				t.Fatalf("Next = %q, %v, and then %q, %v", before, err, keep(again), sameErr)
			}
			got.err, got.last = err, before
			return got
		}
		from.delivered++
		got.events = append(got.events, before)
	}
}

// checkStream fails the test unless the streams are equal.
func checkStream(t *testing.T, got, want stream) {
	t.Helper()
	if !reflect.DeepEqual(got, want) { //nolint:govet // the errors are the reader's own values, or the source's
		t.Errorf("got  %q\nwant %q", show(got), show(want))
	}
}

func show(s stream) []string {
	var lines []string
	for _, e := range append(slices.Clone(s.events), s.last) {
		lines = append(lines, "event "+e.typ+", id "+e.id+": "+e.data)
	}
	return append(lines, s.err.Error())
}

// pieces returns a source that returns each piece with a separate read.
func pieces(of ...string) io.Reader {
	readers := make([]io.Reader, len(of))
	for i, piece := range of {
		readers[i] = bytes.NewReader([]byte(piece))
	}
	return io.MultiReader(readers...)
}
