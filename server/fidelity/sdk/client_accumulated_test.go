package sdk_test

import (
	"fmt"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// clientAccumulates returns in what the chunks, put together by the Go client,
// are not the answer: in nothing but what a stream doesn't tell, which is the
// metadata, the usage unless it was asked for, and that a transcript is empty.
func clientAccumulates(chunks [][]byte, answer []byte) error {
	var got client.Accumulator
	for _, text := range chunks {
		var chunk chatv1.ChatCompletionChunk
		if err := restjson.Unmarshal(text, &chunk); err != nil {
			return err
		}
		got.Add(&chunk)
	}
	completion := got.Completion()
	for _, choice := range completion.GetChoices() {
		if audio := choice.GetMessage().GetAudio(); audio != nil && audio.Transcript == nil {
			audio.Transcript = new("")
		}
	}
	text, err := restjson.AppendFull(nil, completion)
	if err != nil {
		return err
	}
	want := without(parsed(string(answer)), "metadata")
	if completion.GetUsage() == nil {
		want = without(want, "usage")
	}
	if err := equal(text, want.Append(nil, nil)); err != nil {
		return fmt.Errorf("the client's accumulated answer: %w", err)
	}
	return nil
}
