package sse

import (
	"bytes"
	"testing"
)

func TestIndexLineEnd_FindsTheFirst(t *testing.T) {
	t.Parallel()
	const size = 3000 // several windows
	plain := bytes.Repeat([]byte("x"), size)
	if got := indexLineEnd(plain); got != -1 {
		t.Errorf("without a line end: %d", got)
	}
	for _, later := range []string{"x", "\r", "\n"} {
		for _, lineEnd := range []string{"\r", "\n"} {
			for i := range size {
				b := bytes.Clone(plain)
				copy(b[min(i+1500, size-1):], later)
				copy(b[i:], lineEnd)
				if got := indexLineEnd(b); got != i {
					t.Fatalf("%q at %d and %q later: %d", lineEnd, i, later, got)
				}
			}
		}
	}
}
