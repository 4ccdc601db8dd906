package sse_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReader compares the Reader with the reference for streams in pieces of the given
// sizes. io.EOF is returned with the last piece or after it.
func FuzzReader(f *testing.F) {
	for _, row := range grammar {
		f.Add([]byte(row.input), []byte{}, uint16(1<<15), false)
		f.Add([]byte(row.input), []byte{1, 2}, uint16(20), true)
		f.Add([]byte(row.input+"\n\n"+row.input), []byte{7, 1, 1, 40}, uint16(60), false)
	}
	recorded, err := filepath.Glob("../internal/streamtest/streams/*.sse")
	if err != nil || len(recorded) == 0 {
		f.Fatalf("there are no recorded streams, and the error %v", err)
	}
	for _, name := range recorded {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte{100, 1, 200, 3, 150}, uint16(1<<15), true)
	}
	long := strings.Repeat("0123456789", 500)
	f.Add([]byte("data: "+long+"\rdata: "+long+"\r\n\r\n:"+long+"\ndata: a\n\n"), []byte{255, 255, 255, 255}, uint16(20_000), true)
	f.Fuzz(func(t *testing.T, input, sizes []byte, limit uint16, eofWithData bool) {
		want, when := reference(string(input), int(limit))
		source := pieces(cut(string(input), sizes)...)
		if eofWithData {
			source = iotest.DataErrReader(source)
		}
		checkStream(t, read(t, source, int(limit), when), want)
	})
}

// cut splits the input into pieces of the given sizes and the rest.
func cut(input string, sizes []byte) []string {
	var parts []string
	for _, size := range sizes {
		n := min(int(size), len(input))
		parts = append(parts, input[:n])
		input = input[n:]
	}
	return append(parts, input)
}
