package sdk_test

import (
	"fmt"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// checkClientAccumulator compares the chunks, accumulated by the Go client, with the
// unary response. Chunks lack the metadata, and the usage unless requested, and do not
// distinguish an empty transcript from an absent one.
func checkClientAccumulator(chunks [][]byte, response []byte) error {
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
	want := without(mustParse(string(response)), "metadata")
	if completion.GetUsage() == nil {
		want = without(want, "usage")
	}
	if err := compareJSON(text, want.Append(nil, nil)); err != nil {
		return fmt.Errorf("the response accumulated by the client: %w", err)
	}
	return nil
}
