package sse_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/streamtest"
	"github.com/openai-connect/openai-connect/server/sse"
)

// pushed returns the data of the events of a stream that is pushed in pieces.
func pushed(pieces ...string) []string {
	var (
		events []string
		data   []byte
	)
	r := sse.PushReader{
		Data: func(p []byte) { data = append(data, p...) },
		End: func() {
			events = append(events, string(data))
			data = data[:0]
		},
	}
	for _, piece := range pieces {
		r.Push([]byte(piece))
	}
	return events
}

// pulled returns the data of the events that a Reader reads.
func pulled(tb testing.TB, text string) []string {
	tb.Helper()
	reader := sse.NewReader(strings.NewReader(text), 1<<30)
	defer reader.Release()
	var events []string
	for {
		event, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, sse.ErrUnfinished):
			return events
		case err != nil:
			tb.Fatal(err)
		}
		events = append(events, string(event.Data))
	}
}

func TestPushReader_MatchesReader(t *testing.T) {
	t.Parallel()
	for _, stream := range streamtest.Corpus(t) {
		t.Run(stream.Name, func(t *testing.T) {
			t.Parallel()
			want := pulled(t, stream.Text)
			for at := range stream.Text {
				if got := pushed(stream.Text[:at], stream.Text[at:]); !slices.Equal(got, want) {
					t.Fatalf("split at %d the events are %q, want %q", at, got, want)
				}
			}
			if got := pushed(strings.Split(stream.Text, "")...); !slices.Equal(got, want) {
				t.Errorf("byte by byte the events are %q, want %q", got, want)
			}
		})
	}
}

// FuzzPushReader compares PushReader with Reader.
func FuzzPushReader(f *testing.F) {
	for _, text := range []string{
		"data: a\n\n", "\ufeffdata:a\r\rdata\r\n\r\n", "\xef\xbbdata: a\n\n", "data: a\ndata\ndata:\ndata: b\n\n", ": c\n\nevent: x\ndata: y\nid: z\n\n",
		"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "dat\ndatab\n\ndata", "data:  a\n\ndata: \n\n", "\ufeff\ufeffdata: a\n\n",
	} {
		f.Add(text, []byte{1, 3, 2})
	}
	f.Fuzz(func(t *testing.T, text string, sizes []byte) {
		pieces, rest := []string{}, text
		for _, size := range sizes {
			n := min(int(size), len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got, want := pushed(append(pieces, rest)...), pulled(t, text)
		if !slices.Equal(got, want) {
			t.Fatalf("the events of %q are %q, want %q", text, got, want)
		}
	})
}
