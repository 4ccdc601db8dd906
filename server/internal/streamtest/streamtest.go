// Package streamtest is a corpus of event streams as upstreams send them, each
// with the messages that it stands for and how it ends, for the tests of all
// that passes streams on.
//
// A stream is two files: NAME.sse has its bytes, and NAME.jsonl what a client of
// the Connect protocol receives for them, in JSON: a message a line, and at last
// `{}` or `{"error": …}`. The latter was written by the conventions of the
// schema, not by the codec: a judge must not share the mistakes of the judged.
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
	// Text is its bytes.
	Text string
	// Messages are what it stands for.
	Messages []*chatv1.ChatCompletionChunk
	// End is how it ends.
	End End
}

// End is how a stream ends. The zero value is a stream that is finished.
type End struct {
	// Code is the name of an error's code, such as "unavailable".
	Code string `json:"code"`
	// Message is the error's message.
	Message string `json:"message"`
}

// Corpus returns the streams that are recorded in files.
func Corpus(tb testing.TB) []Stream {
	tb.Helper()
	names, err := fs.Glob(files, "streams/*.sse")
	if err != nil || len(names) == 0 {
		tb.Fatalf("there are no streams, and the error %v", err)
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

// ParseEnd reads the message with which Connect's protocol ends a stream. The
// error's details and the metadata, which it may have too, are left out.
func ParseEnd(text []byte) (End, error) {
	var last struct {
		Error End `json:"error"`
	}
	err := json.Unmarshal(text, &last)
	return last.Error, err
}

// Choices is how many choices the stream has, at least 1: the n of a request
// that it answers.
func (s Stream) Choices() int32 {
	count := int32(1)
	for _, message := range s.Messages {
		for _, choice := range message.GetChoices() {
			count = max(count, choice.GetIndex()+1)
		}
	}
	return count
}
