package sse_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/sse"
)

// chunk is an event of a chat stream, 318 bytes long.
const chunk = `data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk",` +
	`"created":1741569952,"model":"gpt-5.4-mini-2026-03-17","service_tier":"default",` +
	`"system_fingerprint":"fp_fc9f1d7035","choices":[{"index":0,"delta":{"content":" together"},` +
	`"logprobs":null,"finish_reason":null}],"obfuscation":"pX2"}` + "\n\n"

// repeated is a source that repeats a string forever. A read never crosses its end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func TestReader_OrdinaryEventsAllocateNothing(t *testing.T) {
	for _, row := range []struct{ name, text string }{
		{"an event in a read", chunk},
		{"many events in a read", strings.Repeat(chunk, 100)},
		{"events by CRLF", strings.Repeat(strings.ReplaceAll(chunk, "\n", "\r\n"), 100)},
		{"events with a type", "event: delta\n" + chunk},
		{"events with an id that stays", "id: 17\n" + chunk},
		{"events and comments", ": keep-alive\n\n" + chunk},
		{"events of several lines", strings.Repeat(strings.TrimSuffix(chunk, "\n"), 3) + "\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			reader := sse.NewReader(&repeated{text: row.text}, 1<<20)
			defer reader.Release()
			allocations := testing.AllocsPerRun(1000, func() {
				if _, err := reader.Next(); err != nil {
					t.Fatal(err)
				}
				reader.Buffered()
			})
			if allocations != 0 {
				t.Errorf("%v allocations an event", allocations)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	if len(chunk) != 318 {
		b.Fatalf("the chunk has %d bytes", len(chunk))
	}
	for _, row := range []struct {
		name string
		text string
	}{
		{"EventPerRead", chunk},
		{"ManyEventsPerRead", strings.Repeat(chunk, 1000)},
		{"CRLF", strings.Repeat(strings.ReplaceAll(chunk, "\n", "\r\n"), 1000)},
		{"Typed", strings.Repeat("event: delta\n"+chunk, 1000)},
		{"64KiB", "data: " + strings.Repeat("x", 64<<10) + "\n\n"},
		{"1MiB", "data: " + strings.Repeat("x", 1<<20) + "\n\n"},
		{"1MiBOfLines", strings.Repeat("data: 0123456789\n", 1<<16) + "\n"},
		{"1MiBOfLinesByCR", strings.Repeat("data: 0123456789\r", 1<<16) + "\r"},
	} {
		b.Run(row.name, func(b *testing.B) {
			reader := sse.NewReader(&repeated{text: row.text}, 2<<20)
			defer reader.Release()
			b.ReportAllocs()
			var size int
			for b.Loop() {
				event, err := reader.Next()
				if err != nil {
					b.Fatal(err)
				}
				size = len(event.Data)
				reader.Buffered()
			}
			b.SetBytes(int64(size))
		})
	}
}

// BenchmarkStream reads a stream of a hundred events.
func BenchmarkStream(b *testing.B) {
	text := strings.Repeat(chunk, 100)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		reader := sse.NewReader(strings.NewReader(text), 1<<20)
		for {
			_, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		reader.Release()
	}
}
