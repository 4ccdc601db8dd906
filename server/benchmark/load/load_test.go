package load

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

func TestEvents_DetectIncompleteStream(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	now := time.Now()
	chunk := func(text string) string {
		const digits = "0123456789abcdef"
		n := len(text)
		return string([]byte{digits[n>>8&15], digits[n>>4&15], digits[n&15]}) + "\r\n" + text + "\r\n"
	}
	first := chunk(string(fixture.AppendEvent(nil, 0, now, false)))
	last := chunk(string(fixture.AppendEvent(nil, 1, now, true)))
	done, end := chunk(fixture.Done), "0\r\n\r\n"

	for _, test := range []struct {
		name     string
		body     string
		events   int
		complete bool
	}{
		{"a complete stream", first + last + done + end, 2, true},
		{"cut after the response header", "", 0, false},
		{"a regular end without events", end, 0, false},
		{"cut in an event", first[:50], 0, false},
		{"cut between events", first, 1, false},
		{"a regular end between events", first + end, 1, false},
		{"cut after the finish_reason", first + last, 2, false},
		{"a regular end without [DONE]", first + last + end, 2, false},
		{"[DONE] without a finish_reason", first + done + end, 1, false},
		{"no final chunk", first + last + done, 2, false},
		{"cut in the final chunk", first + last + done + "0\r\n", 2, false},
		{"an event after [DONE]", first + last + done + first + end, 2, false},
		{"an invalid event", first + chunk("data: {}\n\n"), 1, false},
		{"an invalid line", first + chunk("oops\n"), 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = io.WriteString(theirs, head+test.body)
				theirs.Close()
			}()
			stream, err := readEvents(ours)
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			events := 0
			for {
				event, err := stream.Next()
				if err != nil {
					if complete := errors.Is(err, io.EOF); complete != test.complete {
						t.Errorf("the stream ended with %v", err)
					}
					break
				}
				if event.Number != events || !event.Sent.Equal(now) {
					t.Errorf("event %d is %+v", events, event)
				}
				events++
			}
			if events != test.events {
				t.Errorf("got %d events, want %d", events, test.events)
			}
		})
	}
}

func TestEvents_RejectErrorResponse(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_, _ = io.WriteString(theirs, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops")
		theirs.Close()
	}()
	if _, err := readEvents(ours); err == nil {
		t.Error("status 502 was accepted as a stream")
	}
}

func TestQuantile_ReturnsValue(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		quantile float64
		want     time.Duration
	}{{0, 1}, {0.5, 51}, {0.99, 100}, {1, 100}} {
		if got := Quantile(values, test.quantile); got != test.want {
			t.Errorf("the quantile %g is %d, want %d", test.quantile, got, test.want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("the median of no values is %d, want 0", got)
	}
}
