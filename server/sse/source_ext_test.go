package sse_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/sse"
)

func TestUnfinished_DiffersFromUnexpectedEOFOfSource(t *testing.T) {
	t.Parallel()
	if !errors.Is(sse.ErrUnfinished, io.ErrUnexpectedEOF) {
		t.Error("ErrUnfinished does not wrap io.ErrUnexpectedEOF")
	}
	source := io.MultiReader(pieces("data: a"), iotest.ErrReader(io.ErrUnexpectedEOF))
	got := read(t, source, noLimit, schedule{})
	checkStream(t, got, stream{err: io.ErrUnexpectedEOF})
}

func TestSource_ErrorFollowsCompleteEvents(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		err  error
	}{
		{"an error of any kind", errors.New("connection reset")},
		{"an error that wraps io.EOF, which is a failure", fmt.Errorf("tls: %w", io.EOF)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, input := range []string{"data: a\n\n", "data: a\n\ndata: b", "data: a\n\ndata: b\n", "data: a\r\r: c"} {
				want := data("a")
				want.err = row.err
				_, when := reference(input, noLimit)
				for i := range len(input) + 1 {
					source := func() io.Reader {
						return io.MultiReader(pieces(input[:i], input[i:]), iotest.ErrReader(row.err))
					}
					checkStream(t, read(t, source(), noLimit, when), want)
					checkStream(t, read(t, iotest.DataErrReader(source()), noLimit, when), want)
				}
			}
		})
	}
}

// stutter returns neither bytes nor an error several times before each read.
type stutter struct {
	io.Reader

	times, left int
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.left > 0 {
		s.left--
		return 0, nil
	}
	s.left = s.times
	return s.Reader.Read(p)
}

func TestSource_EmptyReadsAreRepeated(t *testing.T) {
	t.Parallel()
	source := &stutter{Reader: iotest.OneByteReader(pieces("data: a\n\n")), times: 50, left: 50}
	reader := sse.NewReader(source, noLimit)
	got, err := reader.Next()
	if err != nil || string(got.Data) != "a" {
		t.Errorf("Next = %q, %v", got.Data, err)
	}
}

func TestSource_WithoutProgressIsAnError(t *testing.T) {
	t.Parallel()
	source := &stutter{Reader: pieces("data: a\n\n"), times: math.MaxInt}
	reader := sse.NewReader(source, noLimit)
	if got, err := reader.Next(); err != nil || string(got.Data) != "a" {
		t.Errorf("Next = %q, %v", got.Data, err)
	}
	if _, err := reader.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Next = %v, want io.ErrNoProgress", err)
	}
}
