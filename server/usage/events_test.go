package usage

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/streamtest"
	"github.com/openai-connect/openai-connect/server/sse"
)

// eventsOf splits a stream that comes in pieces.
func eventsOf(pieces ...string) []string {
	var (
		events []string
		data   []byte
	)
	l := lines{
		data: func(p []byte) { data = append(data, p...) },
		end: func() {
			events = append(events, string(data))
			data = data[:0]
		},
	}
	for _, piece := range pieces {
		l.write([]byte(piece))
	}
	return events
}

// eventsBySSE are the same by package sse.
func eventsBySSE(tb testing.TB, text string) []string {
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

func TestEventsAreThoseOfPackageSSE(t *testing.T) {
	t.Parallel()
	for _, stream := range streamtest.Corpus(t) {
		t.Run(stream.Name, func(t *testing.T) {
			t.Parallel()
			want := eventsBySSE(t, stream.Text)
			for at := range stream.Text {
				if got := eventsOf(stream.Text[:at], stream.Text[at:]); !slices.Equal(got, want) {
					t.Fatalf("split at %d it has the events %q, want %q", at, got, want)
				}
			}
			if got := eventsOf(strings.Split(stream.Text, "")...); !slices.Equal(got, want) {
				t.Errorf("byte by byte it has the events %q, want %q", got, want)
			}
		})
	}
}

// FuzzEvents compares the two readers of event streams.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{
		"data: a\n\n", "\ufeffdata:a\r\rdata\r\n\r\n", "\xef\xbbdata: a\n\n", "data: a\ndata\ndata:\ndata: b\n\n", ": c\n\nevent: x\ndata: y\nid: z\n\n",
		"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "dat\ndatab\n\ndata", "data:  a\n\ndata: \n\n", "\ufeff\ufeffdata: a\n\n",
	} {
		f.Add(text, []byte{1, 3, 2})
	}
	f.Fuzz(func(t *testing.T, text string, sizes []byte) {
		got, want := eventsOf(cut(text, sizes)...), eventsBySSE(t, text)
		if !slices.Equal(got, want) {
			t.Fatalf("%q has the events %q, want %q", text, got, want)
		}
	})
}
