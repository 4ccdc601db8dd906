package client

import (
	"context"
	"errors"
	"io"
	"iter"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
)

// ChatService calls openaiconnect.chat.v1.ChatService. If a call fails, the error of
// its method is or wraps an [*Error].
//
// Use [connect.NewClientContext] to set the request headers of one call, such as
// another API key, and to read its response headers, such as the rate limits.
type ChatService struct {
	stub       chatv1connect.ChatServiceClient
	maxRetries int
	maxRounds  int
}

// Stub returns the generated stub. It sends the client's headers, does not retry,
// and returns *connect.Error.
func (s *ChatService) Stub() chatv1connect.ChatServiceClient { return s.stub }

// Create returns the model's response to a conversation.
func (s *ChatService) Create(ctx context.Context, request *chatv1.CreateChatCompletionRequest) (*chatv1.ChatCompletion, error) {
	return retry(ctx, s.maxRetries, withKey, func(ctx context.Context) (*chatv1.ChatCompletion, error) {
		return s.stub.CreateChatCompletion(ctx, request)
	})
}

// Stream returns the model's response as a sequence of chunks, each yielded as
// soon as it arrives. Every loop over the sequence is a new call, which ends when
// the loop does. An error is the last element; a sequence that ends without one is
// complete. An [Accumulator] assembles the chunks.
func (s *ChatService) Stream(ctx context.Context, request *chatv1.CreateChatCompletionRequest) iter.Seq2[*chatv1.ChatCompletionChunk, error] {
	return func(yield func(*chatv1.ChatCompletionChunk, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // Ends the stream if the loop is left early.
		first, err := retry(ctx, s.maxRetries, withKey, func(ctx context.Context) (*startedStream, error) {
			return s.start(ctx, request)
		})
		if err != nil {
			yield(nil, err)
			return
		}
		chunk, err := first.chunk, first.err
		for err == nil && yield(chunk, nil) {
			chunk, err = first.stream.Receive()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(nil, newError(ctx, err))
		}
	}
}

// startedStream is a stream and its first message. The error is io.EOF for an empty
// stream.
type startedStream struct {
	stream chatv1connect.ChatServiceStreamChatCompletionClientStream
	chunk  *chatv1.ChatCompletionChunk
	err    error
}

// start waits for the first message: the call can be retried until it arrives.
func (s *ChatService) start(ctx context.Context, request *chatv1.CreateChatCompletionRequest) (*startedStream, error) {
	stream, err := s.stub.StreamChatCompletion(ctx, request)
	if err != nil {
		return nil, err
	}
	chunk, err := stream.Receive()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &startedStream{stream, chunk, err}, nil
}

// Get returns a stored completion, created with `Store: new(true)`.
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
