package sse_test

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/sse"
)

// noLimit is a limit that no test reaches.
const noLimit = math.MaxInt

// grammar contains examples of the event stream grammar. A stream ends with io.EOF
// unless the row has another error.
var grammar = []struct {
	name  string
	input string
	want  stream
}{
	// Events and their data.
	{"an empty stream has no events", "", stream{}},
	{"a blank line ends an event", "data: a\n\ndata: b\n\n", data("a", "b")},
	{"more blank lines make no events", "\n\ndata: a\n\n\n\ndata: b\n\n\n", data("a", "b")},
	{"one space after the colon is optional", "data:a\n\n", data("a")},
	{"only one space after the colon is dropped", "data:  a \n\n", data(" a ")},
	{"a tab after the colon stays", "data:\ta\n\n", data("\ta")},
	{"data may contain colons", "data: a: b:c\n\n", data("a: b:c")},
	{"several data lines are joined by LF", "data: a\ndata: b\ndata: c\n\n", data("a\nb\nc")},
	{"empty data lines among others stay", "data\ndata: a\ndata:\ndata\ndata: b\ndata: \n\n", data("\na\n\n\nb\n")},
	{"a data line without colon is one with an empty value", "data\n\ndata\ndata\n\n", data("", "\n")},
	{"a data line with an empty value makes an event", "data:\n\ndata: \n\n", data("", "")},
	{"lines between the data lines do not part them", "data: a\nevent: x\n: c\nfoo: bar\ndata: b\n\n", stream{
		events: []event{{typ: "x", data: "a\nb"}},
	}},
	{"bytes that are not UTF-8 stay as they are", "data: \xff\xfe\x00\xc3\n\n", data("\xff\xfe\x00\xc3")},
	{"other Unicode line ends are data", "data: a\u2028b\u0085c\vd\fe\n\n", data("a\u2028b\u0085c\vd\fe")},

	// Line ends.
	{"lines may end with CR", "data: a\rdata: b\r\rdata: c\r\r", data("a\nb", "c")},
	{"lines may end with CRLF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", data("a\nb", "c")},
	{"line ends may be mixed", "data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r", data("a", "b", "c", "d")},
	{"CRLF is one line end after a data line", "data: a\r\ndata: b\n\n", data("a\nb")},
	{"LF CR is two line ends", "data: a\n\rdata: b\n\n", data("a", "b")},
	{"CR CR LF is two line ends", "data: a\r\r\ndata: b\r\r\n", data("a", "b")},

	// The byte order mark.
	{"a byte order mark at the start is dropped", "\uFEFFdata: a\n\n", data("a")},
	{"a second byte order mark is a part of a field name", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", data("b")},
	{"a later byte order mark is a part of a field name", "data: a\n\n\uFEFFdata: b\n\n", data("a")},
	{"a byte order mark after a blank line is too", "\n\uFEFFdata: b\n\n", stream{}},
	{"a byte order mark in data stays", "data: \uFEFFa\n\n", data("\uFEFFa")},
	{"a byte order mark alone is an empty stream", "\uFEFF", stream{}},
	{"a part of a byte order mark is an unknown field", "\xEF\xBBdata: a\n\ndata: b\n\n", data("b")},
	{"a part of a byte order mark alone is an empty stream", "\xEF\xBB", stream{}},

	// Comments and unknown fields.
	{"a line that begins with a colon is ignored", ": keep-alive\n\n:\ndata: a\n:data: b\n\n", data("a")},
	{"unknown fields are ignored", "foo: bar\ndata: a\nfoo\n\nfoo\n\n", data("a")},
	{"field names are compared with case", "Data: a\nDATA: b\ndata: c\n\n", data("c")},
	{"field names are compared whole", "dat: a\ndata2: b\ndata : c\n data: d\nevents: e\ni: f\nidx: g\nretry-after: 1\n\n", stream{}},
	{
		"long ignored lines do not disturb the event around them",
		"data: a\n:" + strings.Repeat("x", 5000) + "\n" + strings.Repeat("y", 5000) + "\ndata: b\n\n", data("a\nb"),
	},

	// The type.
	{"event sets the type", "event: x\ndata: a\n\n", stream{events: []event{{typ: "x", data: "a"}}}},
	{"the last event line counts", "event: x\ndata: a\nevent: y\n\n", stream{events: []event{{typ: "y", data: "a"}}}},
	{"an empty event line takes the type back", "event: x\nevent\ndata: a\n\n", data("a")},
	{"the type holds for one event", "event: x\ndata: a\n\ndata: b\n\nevent: x\ndata: c\n\n", stream{
		events: []event{{typ: "x", data: "a"}, {data: "b"}, {typ: "x", data: "c"}},
	}},
	{"a type without data makes no event and is forgotten", "event: x\n\ndata: a\n\n", data("a")},

	// The last event ID.
	{"id holds until the next one", "id: 1\ndata: a\n\ndata: b\n\ndata: c\nid: 2\n\n", stream{
		events: []event{{data: "a", id: "1"}, {data: "b", id: "1"}, {data: "c", id: "2"}},
	}},
	{"an id without data holds for the events after it", "id: 1\n\ndata: a\n\n", stream{events: []event{{data: "a", id: "1"}}}},
	{"an empty id takes the id back", "id: 1\ndata: a\n\nid\ndata: b\n\n", stream{
		events: []event{{data: "a", id: "1"}, {data: "b"}},
	}},
	{"an id with NUL is ignored", "id: 1\nid: 2\x00\ndata: a\n\n", stream{events: []event{{data: "a", id: "1"}}}},

	// The retry time.
	{"retry is ignored", "retry: 2500\nretry: x\nretry\n\n", stream{}},

	// The end of the stream.
	{"a stream may end after a blank line", "data: a\n\n\n", data("a")},
	{"a stream may end after a comment", "data: a\n\n: c\n", data("a")},
	{"a stream may end within a comment", "data: a\n\n: c", data("a")},
	{"a stream may end within an unknown field", "data: a\n\nfo", data("a")},
	{"one line end does not complete an event", "data: a\n\ndata: b\n", unfinished(data("a"), event{data: "b"})},
	{"one CRLF does not complete an event", "data: a\r\n", unfinished(stream{}, event{data: "a"})},
	{"no line end does not complete an event", "data: a\n\ndata: b", unfinished(data("a"), event{data: "b"})},
	{"a comment does not complete an event", "data: a\n: c\n", unfinished(stream{}, event{data: "a"})},
	{"an event cut off in a data line has its beginning", "data: a\ndata: b", unfinished(stream{}, event{data: "a\nb"})},
	{"an event cut off in a field name has what is before it", "data: a\nda", unfinished(stream{}, event{data: "a"})},
	{"an event cut off after a field name has that line", "data: a\ndata", unfinished(stream{}, event{data: "a\n"})},
	{"an event cut off in its first field name has nothing", "da", unfinished(stream{}, event{})},
	{"an event cut off before its data has none", "id: 1\nevent: x\n", unfinished(stream{}, event{typ: "x", id: "1"})},
	{"an event cut off in another field has that too", "data: a\nevent: x", unfinished(stream{}, event{typ: "x", data: "a"})},
}

func data(values ...string) stream {
	var s stream
	for _, value := range values {
		s.events = append(s.events, event{data: value})
	}
	return s
}

func unfinished(s stream, last event) stream {
	s.err, s.last = sse.ErrUnfinished, last
	return s
}

func TestGrammar(t *testing.T) {
	t.Parallel()
	for _, row := range grammar {
		want := row.want
		if want.err == nil {
			want.err = io.EOF
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			byReference, when := reference(row.input, noLimit)
			checkStream(t, byReference, want)
			checkEverySplit(t, row.input, noLimit, want, when)
		})
	}
}

// checkEverySplit reads the stream whole, split at each position, byte by byte and in
// halves, with io.EOF after the last bytes and together with them.
func checkEverySplit(t *testing.T, input string, limit int, want stream, when schedule) {
	t.Helper()
	check := func(name string, source func() io.Reader) {
		t.Helper()
		checkStream(t, read(t, source(), limit, when), want)
		checkStream(t, read(t, iotest.DataErrReader(source()), limit, when), want)
		if t.Failed() {
			t.Fatalf("read %s: %q", name, input[:min(len(input), 200)])
		}
	}
	check("whole", func() io.Reader { return pieces(input) })
	check("byte by byte", func() io.Reader { return iotest.OneByteReader(pieces(input)) })
	check("in halves", func() io.Reader { return iotest.HalfReader(pieces(input)) })
	for i := range len(input) {
		check(fmt.Sprintf("split at byte %d", i), func() io.Reader { return pieces(input[:i], input[i:]) })
	}
}
