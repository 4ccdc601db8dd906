package load

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/answer"
)

func TestAStreamIsCompleteOnlyWithItsWholeEnd(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	now := time.Now()
	chunk := func(text string) string {
		const digits = "0123456789abcdef"
		n := len(text)
		return string([]byte{digits[n>>8&15], digits[n>>4&15], digits[n&15]}) + "\r\n" + text + "\r\n"
	}
	first := chunk(string(answer.AppendEvent(nil, 0, now, false)))
	last := chunk(string(answer.AppendEvent(nil, 1, now, true)))
	done, end := chunk(answer.Done), "0\r\n\r\n"

	for _, test := range []struct {
		name     string
		body     string
		events   int
		complete bool
	}{
		{"a whole stream", first + last + done + end, 2, true},
		{"nothing after the head", "", 0, false},
		{"an end without any event", end, 0, false},
		{"cut within an event", first[:50], 0, false},
		{"cut between events", first, 1, false},
		{"ended properly between events", first + end, 1, false},
		{"cut after the finish_reason", first + last, 2, false},
		{"ended properly without [DONE]", first + last + end, 2, false},
		{"[DONE] without a finish_reason", first + done + end, 1, false},
		{"no final chunk", first + last + done, 2, false},
		{"cut within the final chunk", first + last + done + "0\r\n", 2, false},
		{"an event after [DONE]", first + last + done + first + end, 2, false},
		{"what is no event", first + chunk("data: {}\n\n"), 1, false},
		{"a line that is no field", first + chunk("oops\n"), 1, false},
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
						t.Errorf("it ended with %v", err)
					}
					break
				}
				if event.Number != events || !event.Sent.Equal(now) {
					t.Errorf("event %d is %+v", events, event)
				}
				events++
			}
			if events != test.events {
				t.Errorf("%d events came, want %d", events, test.events)
			}
		})
	}
}

func TestAnErrorIsNoStream(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_, _ = io.WriteString(theirs, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops")
		theirs.Close()
	}()
	if _, err := readEvents(ours); err == nil {
		t.Error("a 502 was taken for a stream")
	}
}

func TestAQuantileIsAValueOfThePart(t *testing.T) {
	values := make([]time.Duration, 100)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		part float64
		want time.Duration
	}{{0, 1}, {0.5, 51}, {0.99, 100}, {1, 100}} {
		if got := Quantile(values, test.part); got != test.want {
			t.Errorf("the quantile %g is %d, want %d", test.part, got, test.want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("the median of nothing is %d", got)
	}
}
