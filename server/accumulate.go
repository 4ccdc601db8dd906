package server

import (
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/transcode"
)

// accumulators put the streams of upstreams together that stream whatever is
// asked for, as clients do with streams that they requested.
func accumulators() map[string]func() transcode.Accumulator {
	return map[string]func() transcode.Accumulator{
		chatv1connect.ChatServiceCreateChatCompletionProcedure: func() transcode.Accumulator { return new(chatAccumulator) },
	}
}

type chatAccumulator struct{ chunks client.Accumulator }

// Add implements [typed.Accumulator].
func (a *chatAccumulator) Add(message proto.Message) {
	if chunk, ok := message.(*chatv1.ChatCompletionChunk); ok {
		a.chunks.Add(chunk)
	}
}

// Reply implements [typed.Accumulator].
func (a *chatAccumulator) Reply() proto.Message { return a.chunks.Completion() }
