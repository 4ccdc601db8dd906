// Package answer is what the benchmark's upstream answers and its clients
// expect: a completion and the events of a stream, of the size that OpenAI's
// have. Each event carries when it was sent, so that a client on the same
// machine can tell how long it was on its way.
package answer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Path is where completions are made.
const Path = "/v1/chat/completions"

// Request is the body of a unary request; [StreamRequest] asks for a stream.
const (
	Request       = `{"model":"` + Model + `","messages":[{"role":"user","content":"` + Prompt + `"}]}`
	StreamRequest = `{"model":"` + Model + `","messages":[{"role":"user","content":"` + Prompt + `"}],"stream":true}`
)

// Model and Prompt are what a request says, whatever its form.
const (
	Model  = "gpt-5.4-mini"
	Prompt = "Write a short paragraph about why proxies that stream have to flush, for a reader who knows HTTP but has never written a server."
)

// IntervalHeader is the request's field that says how long the upstream waits
// between two events of a stream: a duration as Go writes it.
const IntervalHeader = "X-Bench-Interval"

// Completion is the body of the answer to a unary request.
const Completion = `{
  "id": "chatcmpl-CZq1f4k0Wv0x1nM2b3c4d5e6f7g8h",
  "object": "chat.completion",
  "created": 1790000000,
  "model": "gpt-5.4-mini-2026-03-17",
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": "A proxy that streams has to flush because its writer gathers small pieces into large ones. Each event of a model is small, so without a flush it waits in a buffer until enough others have joined it, and a reader who could have followed the answer word by word sees it in lumps instead.",
        "refusal": null,
        "annotations": []
      },
      "logprobs": null,
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 31,
    "completion_tokens": 58,
    "total_tokens": 89,
    "prompt_tokens_details": {
      "cached_tokens": 0,
      "audio_tokens": 0
    },
    "completion_tokens_details": {
      "reasoning_tokens": 0,
      "audio_tokens": 0,
      "accepted_prediction_tokens": 0,
      "rejected_prediction_tokens": 0
    }
  },
  "service_tier": "default",
  "system_fingerprint": "fp_44709d6fcb"
}
`

// Header is the part of an answer's header that has nothing to do with its
// framing, a field's name and value each: what an SDK reads.
func Header() [][2]string {
	return [][2]string{
		{"Date", "Mon, 21 Sep 2026 12:00:00 GMT"},
		{"Openai-Processing-Ms", "412"},
		{"Openai-Version", "2020-10-01"},
		{"X-Ratelimit-Limit-Requests", "10000"},
		{"X-Ratelimit-Limit-Tokens", "2000000"},
		{"X-Ratelimit-Remaining-Requests", "9999"},
		{"X-Ratelimit-Remaining-Tokens", "1999950"},
		{"X-Request-Id", "req_0c8e4e6fdc0b4a7a9f1d2e3c4b5a6978"},
	}
}

// Done is the event that ends a complete stream.
const Done = "data: [DONE]\n\n"

const (
	beforeContent = `data: {"id":"chatcmpl-CZq1f4k0Wv0x1nM2b3c4d5e6f7g8h","object":"chat.completion.chunk","created":1790000000,"model":"gpt-5.4-mini-2026-03-17","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":"`
	afterContent  = `"},"logprobs":null,"finish_reason":null}],"obfuscation":"kR2x"}` + "\n\n"
	afterLast     = `"},"logprobs":null,"finish_reason":"stop"}],"obfuscation":""}` + "\n\n"
)

// AppendEvent appends the event with that number, from 0, to a stream. The last
// one has a finish_reason; [Done] follows it.
func AppendEvent(b []byte, number int, sent time.Time, last bool) []byte {
	b = append(b, beforeContent...)
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, sent.UnixNano(), 10)
	if last {
		return append(b, afterLast...)
	}
	return append(b, afterContent...)
}

// Event is what a client reads of an event.
type Event struct {
	Number int
	Sent   time.Time
	Last   bool // it has a finish_reason
}

// ParseEvent reads the data of an event, which is its line without `data: `.
func ParseEvent(data []byte) (Event, error) {
	_, rest, found := bytes.Cut(data, []byte(`"content":"`))
	content, rest, closed := bytes.Cut(rest, []byte(`"`))
	if !found || !closed {
		return Event{}, fmt.Errorf("no event of the benchmark's upstream: %.80q", data)
	}
	event, err := ParseContent(string(content))
	event.Last = bytes.Contains(rest, []byte(`"finish_reason":"stop"`))
	return event, err
}

// ParseContent reads the delta's content of an event, in which the number and the
// time are.
func ParseContent(content string) (Event, error) {
	number, sent, _ := strings.Cut(content, " ")
	n, numberErr := strconv.Atoi(number)
	nanoseconds, sentErr := strconv.ParseInt(sent, 10, 64)
	if err := errors.Join(numberErr, sentErr); err != nil {
		return Event{}, fmt.Errorf("no content of the benchmark's upstream: %.80q: %w", content, err)
	}
	return Event{Number: n, Sent: time.Unix(0, nanoseconds)}, nil
}
