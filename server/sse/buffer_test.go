package sse

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// gauge is a source that records the buffer size of its Reader at every read.
type gauge struct {
	io.Reader

	reader        *Reader
	largest, last int
}

func (g *gauge) Read(p []byte) (int, error) {
	g.last = len(g.reader.buf)
	g.largest = max(g.largest, g.last)
	return g.Reader.Read(p)
}

// zeros is a source of NUL bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBuffer_Size(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	line := func(size int) io.Reader {
		return io.MultiReader(strings.NewReader("data: "), io.LimitReader(zeros{}, int64(size-6)), strings.NewReader("\n\n"))
	}
	events := func(number int) io.Reader {
		return strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 310)+"\n\n", number))
	}
	for _, row := range []struct {
		name          string
		source        io.Reader
		limit         int
		largest, last int // sizes of the buffer
	}{
		{"ordinary events take the smallest buffer", events(1000), mebibyte, 4096, 4096},
		{"a comment takes no memory", io.MultiReader(strings.NewReader(":"), io.LimitReader(zeros{}, 64*mebibyte)), 100, 4096, 4096},
		{"an unknown field takes no memory", io.LimitReader(zeros{}, 64*mebibyte), 100, 4096, 4096},
		{
			"an unknown field that begins like a known one takes none",
			io.MultiReader(strings.NewReader("data: a\ndata\x00"), io.LimitReader(zeros{}, 64*mebibyte), strings.NewReader("\n\n")), 100, 4096, 4096,
		},
		{
			"many comments within an event take no memory",
			io.MultiReader(strings.NewReader("data: a\n"+strings.Repeat(": keep-alive\n", 100_000)), line(100)), 1000, 4096, 4096,
		},
		{"a large event takes a buffer up to twice its size", line(100_000), mebibyte, 256 << 10, 4096},
		{"the next small event has the smallest buffer again", io.MultiReader(line(100_000), events(100)), mebibyte, 256 << 10, 4096},
		{"the buffer stays within 4 KiB of the limit", line(mebibyte), mebibyte, mebibyte + 4096, 4096},
		{"the buffer stays within 4 KiB of any limit", line(100_000), 100_000, 100_000 + 4096, 4096},
		{"a tiny limit has the smallest buffer", strings.NewReader("id: 1\n\n"), 5, 4096, 4096},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			source := &gauge{Reader: row.source}
			reader := NewReader(source, row.limit)
			defer reader.Release()
			source.reader = reader
			var err error
			for err == nil {
				_, err = reader.Next()
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if source.largest != row.largest || source.last != row.last {
				t.Errorf("the buffer had up to %d bytes, want %d; at last %d, want %d",
					source.largest, row.largest, source.last, row.last)
			}
		})
	}
}

func TestBuffer_OnlyPooledSizesAreReused(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{
		minBuffer: 0, 2 * minBuffer: 1, maxShared: len(buffers) - 1,
	} {
		if class, ok := bufferClass(size); !ok || class != want {
			t.Errorf("bufferClass(%d) = %d, %v, want %d", size, class, ok, want)
		}
	}
	for _, size := range []int{0, 1, minBuffer / 2, minBuffer - 1, minBuffer + 1, 3 * minBuffer, 2 * maxShared} {
		if class, ok := bufferClass(size); ok {
			t.Errorf("bufferClass(%d) = %d", size, class)
		}
	}
}
