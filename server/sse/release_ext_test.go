package sse_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/sse"
)

func TestRelease_ClosesReader(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		calls int // of Next before Release
	}{
		{"before its first event", 0},
		{"with an event in its buffer", 1},
		{"after its last event", 2},
		{"at its end", 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			reader := sse.NewReader(pieces("data: a\n\ndata: b\n\n"), noLimit)
			for range row.calls {
				_, err := reader.Next()
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
			}
			for range 2 {
				reader.Release()
				if !reader.Buffered() {
					t.Error("Buffered() = false, though Next does not read")
				}
				if got, err := reader.Next(); !errors.Is(err, io.ErrClosedPipe) || got.Data != nil {
					t.Errorf("Next = %q, %v", got.Data, err)
				}
			}
		})
	}
}

// Concurrent small and large streams reuse released buffers. Each must only see its own
// bytes.
func TestRelease_BuffersAreNotMixed(t *testing.T) {
	t.Parallel()
	var streams sync.WaitGroup
	for worker := range 16 {
		streams.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 0))
			for turn := range 50 {
				mark := fmt.Sprintf("%d.%d ", worker, turn)
				var want stream
				var input strings.Builder
				for range 10 {
					value := strings.Repeat(mark, 1+random.IntN(1<<random.IntN(14)))
					fmt.Fprintf(&input, "data: %s\ndata: %s\n\n", value, mark)
					want.events = append(want.events, event{data: value + "\n" + mark})
				}
				want.err = io.EOF
				checkStream(t, readAll(inRandomPieces(input.String(), random)), want)
			}
		})
	}
	streams.Wait()
}

func readAll(source io.Reader) stream {
	var got stream
	reader := sse.NewReader(source, noLimit)
	defer reader.Release()
	for {
		next, err := reader.Next()
		if err != nil {
			got.err = err
			return got
		}
		got.events = append(got.events, keep(next))
	}
}
