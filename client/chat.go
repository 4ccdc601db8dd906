package client

import (
	"context"
	"errors"
	"io"
	"iter"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
)

// ChatService makes the calls of openaiconnect.chat.v1.ChatService. Every error that a
// method returns is, or wraps, an [*Error] where the call itself failed.
//
// A context of [connect.NewClientContext] gives a call headers of its own, such
// as another key, and tells those of the answer, such as the rate limits.
type ChatService struct {
	stub       chatv1connect.ChatServiceClient
	maxRetries int
	maxRounds  int
}

// Stub is the generated stub, with the client's headers but without retries: its
// errors are *connect.Error.
func (s *ChatService) Stub() chatv1connect.ChatServiceClient { return s.stub }

// Create answers a conversation with the model's next message.
func (s *ChatService) Create(ctx context.Context, request *chatv1.CreateChatCompletionRequest) (*chatv1.ChatCompletion, error) {
	return retry(ctx, s.maxRetries, withKey, func(ctx context.Context) (*chatv1.ChatCompletion, error) {
		return s.stub.CreateChatCompletion(ctx, request)
	})
}

// Stream answers a conversation piece by piece, as the model writes it. The call
// begins with the loop over it and ends with it, however that is left; each loop
// is a call of its own. After an error there is nothing more, and without one
// the answer is complete. An [Accumulator] puts the pieces together.
func (s *ChatService) Stream(ctx context.Context, request *chatv1.CreateChatCompletionRequest) iter.Seq2[*chatv1.ChatCompletionChunk, error] {
	return func(yield func(*chatv1.ChatCompletionChunk, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // Which ends the stream, at once.
		begun, err := retry(ctx, s.maxRetries, withKey, func(ctx context.Context) (*begunStream, error) {
			return s.begin(ctx, request)
		})
		if err != nil {
			yield(nil, err)
			return
		}
		chunk, err := begun.chunk, begun.err
		for err == nil && yield(chunk, nil) {
			chunk, err = begun.stream.Receive()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(nil, newError(ctx, err))
		}
	}
}

// A begunStream is a stream of which the first message was received. The error
// is io.EOF where there is none.
type begunStream struct {
	stream chatv1connect.ChatServiceStreamChatCompletionClientStream
	chunk  *chatv1.ChatCompletionChunk
	err    error
}

// begin waits for the first message: until then the call can be made again.
func (s *ChatService) begin(ctx context.Context, request *chatv1.CreateChatCompletionRequest) (*begunStream, error) {
	stream, err := s.stub.StreamChatCompletion(ctx, request)
	if err != nil {
		return nil, err
	}
	chunk, err := stream.Receive()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &begunStream{stream, chunk, err}, nil
}

// Get returns a completion that was stored (`Store: new(true)`).
func (s *ChatService) Get(ctx context.Context, id string) (*chatv1.ChatCompletion, error) {
	return retry(ctx, s.maxRetries, withoutKey, func(ctx context.Context) (*chatv1.ChatCompletion, error) {
		return s.stub.GetChatCompletion(ctx, &chatv1.GetChatCompletionRequest{CompletionId: id})
	})
}

// Update replaces the metadata of a stored completion.
func (s *ChatService) Update(ctx context.Context, request *chatv1.UpdateChatCompletionRequest) (*chatv1.ChatCompletion, error) {
	return retry(ctx, s.maxRetries, withKey, func(ctx context.Context) (*chatv1.ChatCompletion, error) {
		return s.stub.UpdateChatCompletion(ctx, request)
	})
}

// Delete deletes a stored completion.
func (s *ChatService) Delete(ctx context.Context, id string) (*chatv1.ChatCompletionDeleted, error) {
	return retry(ctx, s.maxRetries, withoutKey, func(ctx context.Context) (*chatv1.ChatCompletionDeleted, error) {
		return s.stub.DeleteChatCompletion(ctx, &chatv1.DeleteChatCompletionRequest{CompletionId: id})
	})
}
