// Package streamtest holds a corpus of event streams as upstreams send them, with
// their messages and ends, for tests of everything that forwards streams.
//
// A stream is two files. NAME.sse contains its bytes. NAME.jsonl contains what a client
// of the Connect protocol receives, in JSON: one message per line, followed by `{}` or
// `{"error": …}`. It was written from the schema, not by the codec, so that the test
// does not share the codec's mistakes.
package streamtest

import (
	"embed"
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

//go:embed streams
var files embed.FS

// Stream is an event stream.
type Stream struct {
	// Name is a sentence.
	Name string
	// Text is the bytes of the stream.
	Text string
	// Messages are the expected messages.
	Messages []*chatv1.ChatCompletionChunk
	// End is the expected end.
	End End
}

// End describes the end of a stream. The zero value is a complete stream.
type End struct {
	// Code is the name of the error code, such as "unavailable".
	Code string `json:"code"`
	// Message is the error's message.
	Message string `json:"message"`
}

// Corpus returns the recorded streams.
func Corpus(tb testing.TB) []Stream {
	tb.Helper()
	names, err := fs.Glob(files, "streams/*.sse")
	if err != nil || len(names) == 0 {
		tb.Fatalf("found no streams: %v", err)
	}
	streams := make([]Stream, len(names))
	for i, name := range names {
		streams[i] = read(tb, strings.TrimSuffix(name, ".sse"))
	}
	return streams
}

func read(tb testing.TB, name string) Stream {
	tb.Helper()
	text, err := files.ReadFile(name + ".sse")
	if err != nil {
		tb.Fatal(err)
	}
	received, err := files.ReadFile(name + ".jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	s := Stream{Name: strings.ReplaceAll(path.Base(name), "-", " "), Text: string(text)}
	lines := strings.Split(strings.TrimSuffix(string(received), "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		message := new(chatv1.ChatCompletionChunk)
		if err := protojson.Unmarshal([]byte(line), message); err != nil {
			tb.Fatalf("%s: %v in the line %s", name, err, line)
		}
		s.Messages = append(s.Messages, message)
	}
	s.End, err = ParseEnd([]byte(lines[len(lines)-1]))
	if err != nil {
		tb.Fatalf("%s: %v in its last line", name, err)
	}
	return s
}

// ParseEnd parses the last message of a stream in Connect's protocol, without the
// details of the error and the metadata.
func ParseEnd(text []byte) (End, error) {
	var last struct {
		Error End `json:"error"`
	}
	err := json.Unmarshal(text, &last)
	return last.Error, err
}

// Choices returns the number of choices in the stream, at least 1.
func (s Stream) Choices() int32 {
	count := int32(1)
	for _, message := range s.Messages {
		for _, choice := range message.GetChoices() {
			count = max(count, choice.GetIndex()+1)
		}
	}
	return count
}
