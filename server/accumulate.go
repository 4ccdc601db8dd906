package server

import (
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/transcode"
)

// accumulators returns the accumulators of unary RPCs, by procedure. They combine the
// stream of an upstream that streams although the request did not ask for it.
func accumulators() map[string]func() transcode.Accumulator {
	return map[string]func() transcode.Accumulator{
		chatv1connect.ChatServiceCreateChatCompletionProcedure: func() transcode.Accumulator { return new(chatAccumulator) },
	}
}

// chatAccumulator combines the chunks of a chat completion.
type chatAccumulator struct{ chunks client.Accumulator }

// Add implements [transcode.Accumulator].
func (a *chatAccumulator) Add(message proto.Message) {
	if chunk, ok := message.(*chatv1.ChatCompletionChunk); ok {
		a.chunks.Add(chunk)
	}
}

// Reply implements [transcode.Accumulator].
func (a *chatAccumulator) Reply() proto.Message { return a.chunks.Completion() }
