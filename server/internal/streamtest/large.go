package streamtest

import (
	"encoding/json"
	"strconv"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Large returns streams with an event of at least size bytes between small events: in
// one stream the event is one line, in the other thousands of lines.
func Large(size int) []Stream {
	const scripts = "plain, Grüße, Привет, 世界, שלום, 🙂, \"\\/\x00\n\u2028<&> "
	text := strings.Repeat(scripts, size/len(scripts)+1)
	line := Stream{Name: "an event of megabytes is one line", Messages: []*chatv1.ChatCompletionChunk{one("a"), one(text), one("b")}}
	line.Text = event("a") + event(text) + event("b") + done

	many := &chatv1.ChatCompletionChunk{}
	var lines strings.Builder
	lines.WriteString("data: {\"choices\":[\r\n")
	for separator := ""; lines.Len() < size; separator = "," {
		index := len(many.GetChoices())
		text := strings.Repeat(scripts, index%7)
		many.Choices = append(many.Choices, &chatv1.ChunkChoice{Index: int32(index), Delta: &chatv1.Delta{Content: &text}})
		lines.WriteString("data:" + separator + choice(index, text) + "\r\n")
	}
	lines.WriteString("data: ]}\r\n\r\n")
	return []Stream{line, {
		Name:     "an event of megabytes is many lines",
		Text:     event("a") + lines.String() + event("b") + done,
		Messages: []*chatv1.ChatCompletionChunk{one("a"), many, one("b")},
	}}
}

const done = "data: [DONE]\n\n"

func one(text string) *chatv1.ChatCompletionChunk {
	return &chatv1.ChatCompletionChunk{Choices: []*chatv1.ChunkChoice{{Delta: &chatv1.Delta{Content: &text}}}}
}

func event(text string) string {
	return `data: {"choices":[` + choice(0, text) + "]}\n\n"
}

func choice(index int, text string) string {
	content, err := json.Marshal(text)
	if err != nil {
		panic(err) // A string can always be encoded.
	}
	return `{"index":` + strconv.Itoa(index) + `,"delta":{"content":` + string(content) + "}}"
}
