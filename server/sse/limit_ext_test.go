package sse_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/sse"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = 20
	tooLarge := func(s stream) stream {
		s.err = &sse.TooLargeError{Limit: limit}
		return s
	}
	long := strings.Repeat("x", 10*limit)
	for _, row := range []struct {
		name  string
		input string
		want  stream
	}{
		{"a line may be as long as the limit", "data: 45678901234567\n\n", data("45678901234567")},
		{"a line may not be longer", "data: 456789012345678\n\n", tooLarge(stream{})},
		{"line ends do not count", "data: 4567\r\ndata: 4567\r\n\r\n", data("4567\n4567")},
		{"the lines of an event add up", "data: 4567\ndata: 45678\n\n", tooLarge(stream{})},
		{"lines without a value add up too", "data\ndata\ndata\ndata\ndata\ndata\n\n", tooLarge(stream{})},
		{"lines of different fields add up", "event: 7\nid: 4\ndata: 78\n\n", tooLarge(stream{})},
		{"lines whose value is ignored add up", "event: 7\nretry: x\nid: 4\n\n", tooLarge(stream{})},
		{"lines of retry add up", "retry: 8901\nretry: 8902\n\n", tooLarge(stream{})},
		{"a line that replaces an earlier one adds up", "event: 7\nevent: 7\nevent: 7\n\n", tooLarge(stream{})},
		{"every event has the limit to itself", "data: 4567890123\n\ndata: 4567890123\n\n", data("4567890123", "4567890123")},
		{"a blank line without event starts anew", "event: 7890123\n\nevent: 7890123\n\ndata: a\n\n", data("a")},
		{"events before the one that is too large are delivered", "data: a\n\ndata: " + long + "\n\n", tooLarge(data("a"))},
		{"comments do not count", "data: a\n:" + long + "\ndata: b\n:\n\n", data("a\nb")},
		{"unknown fields do not count", "data: a\nfoo: " + long + "\n" + long + "\ndata: b\n\n", data("a\nb")},
		{"what only begins like a known field does not count", "data: a\ndatax" + long + "\ndat\ndata: b\n\n", data("a\nb")},
		{"what only begins like one does not count at the limit either", "data: 45678901234567\ndat\ndata5\n\n", data("45678901234567")},
		{"a comment that looks like a field does not count", ":data: " + long + "\ndata: a\n\n", data("a")},
		{"a byte order mark does not count", "\uFEFFdata: 45678901234567\n\n", data("45678901234567")},
		{"an event that the end cuts off may be as long as the limit", "data: 45678901234567", unfinished(stream{}, event{data: "45678901234567"})},
		{"an event that the end cuts off may not be longer", "data: 4567890123\ndata", unfinished(stream{}, event{data: "4567890123\n"})},
		{"nor by a line that ends with its name", "data: 45678901234\ndata", tooLarge(stream{})},
	} {
		if row.want.err == nil {
			row.want.err = io.EOF
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			byReference, when := reference(row.input, limit)
			checkStream(t, byReference, row.want)
			checkEverySplit(t, row.input, limit, row.want, when)
		})
	}
}

func TestLimit_IsNamedInError(t *testing.T) {
	t.Parallel()
	_, err := sse.NewReader(pieces("data: 123456789\n\n"), 10).Next()
	var tooLarge *sse.TooLargeError
	if !errors.As(err, &tooLarge) || tooLarge.Limit != 10 || !strings.Contains(err.Error(), "limit of 10 bytes") {
		t.Errorf("Next = %v", err)
	}
}

// endless repeats a string forever.
type endless struct {
	text string
	at   int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	e.read += len(p)
	return len(p), nil
}

func TestLimit_RejectsEndlessEvent(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	for _, row := range []struct {
		name, before, repeated string
	}{
		{"a data line without end", "data: ", "x"},
		{"data lines without end", "", "data: x\n"},
		{"data lines by CR without end", "", "data: x\r"},
		{"a type without end", "event:", "x"},
		{"an id without end", "data: a\nid: 1", "2"},
		{"a retry time without end", "retry:", "0"},
		{"empty data lines without end", "", "data\n"},
		{"types without end", "", "event\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			source := &endless{text: row.repeated}
			_, err := sse.NewReader(io.MultiReader(pieces(row.before), source), limit).Next()
			if _, ok := errors.AsType[*sse.TooLargeError](err); !ok {
				t.Fatalf("Next = %v", err)
			}
			// The limit may be exceeded by line ends, one to four bytes, and by the read that
			// fills the buffer.
			if most := limit + limit/4 + limit + 4096; source.read > most {
				t.Errorf("%d bytes were read before an event over %d was refused", source.read, limit)
			}
		})
	}
}

func TestLargeEvents(t *testing.T) {
	t.Parallel()
	const lines = 50_000
	long := string(randomText(1 << 20))
	half := len(long) / 2
	for _, row := range []struct {
		name, event, data string
	}{
		{"one line", "data: " + long + "\n\n", long},
		{"two long lines", "data: " + long[:half] + "\ndata:" + long[half:] + "\n\n", long[:half] + "\n" + long[half:]},
		{"short lines", strings.Repeat("data: abc\n", lines) + "\n", strings.Repeat("abc\n", lines-1) + "abc"},
		{"short lines by CR", strings.Repeat("data: abc\r", lines) + "\r", strings.Repeat("abc\n", lines-1) + "abc"},
		{"short lines by CRLF", strings.Repeat("data:abc\r\n", lines) + "\r\n", strings.Repeat("abc\n", lines-1) + "abc"},
		{"short lines and comments", strings.Repeat("data: a\n: keep-alive\n", lines) + "\n", strings.Repeat("a\n", lines-1) + "a"},
		{"a short line and a long comment", "data: a\n:" + long + "\n\n", "a"},
		{"a long line after a long comment", ":" + long + "\ndata: " + long + "\n\n", long},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			before, after := "data: before\n\n", "data: after\n\n"
			input := before + row.event + after
			needed := len(before) + len(row.event)
			if strings.HasSuffix(row.event, "\r\n") {
				needed-- // an LF after the last CR is optional
			}
			when := schedule{completeAt: []int{len(before), needed, len(input)}}
			want := data("before", row.data, "after")
			want.err = io.EOF
			check := func(source io.Reader) {
				t.Helper()
				got := read(t, source, len(row.event), when)
				if len(got.events) != 3 || got.events[1] != want.events[1] {
					t.Fatalf("the large event is lost or altered: %d events", len(got.events))
				}
				checkStream(t, got, want)
			}
			check(pieces(input))
			check(iotest.DataErrReader(pieces(input)))
			check(iotest.OneByteReader(pieces(input)))
			random := rand.New(rand.NewPCG(3, 4))
			for range 4 {
				i := random.IntN(len(input))
				check(pieces(input[:i], input[i:]))
				check(inRandomPieces(input, random))
			}
		})
	}
}

// randomText returns random text without line ends.
func randomText(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size)
	for i := range text {
		text[i] = byte('0' + random.IntN(64))
	}
	return text
}

// inRandomPieces returns the input in reads of 1 byte to about 8 KiB.
func inRandomPieces(input string, random *rand.Rand) io.Reader {
	var parts []string
	for len(input) > 0 {
		n := min(1+random.IntN(1<<random.IntN(14)), len(input))
		parts = append(parts, input[:n])
		input = input[n:]
	}
	return pieces(parts...)
}
