package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// typedClient calls the typed API. It returns responses encoded in full mode.
type typedClient struct {
	client  chatv1connect.ChatServiceClient
	control control // request metadata
}

func (c typedClient) create(ctx context.Context, body []byte) ([]byte, error) {
	request, err := typedRequest(body)
	if err != nil {
		return nil, err
	}
	return typedCall(ctx, c, c.client.CreateChatCompletion, request)
}

func (c typedClient) stream(ctx context.Context, body []byte) (events [][]byte, err error) {
	request, err := typedRequest(body)
	if err != nil {
		return nil, err
	}
	stream, err := c.client.StreamChatCompletion(c.begin(ctx), request)
	if err != nil {
		return nil, typedFailure(err)
	}
	defer stream.Close()
	for {
		chunk, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return events, typedFailure(err)
		}
		event, err := restjson.AppendFull(nil, chunk)
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

func (c typedClient) get(ctx context.Context, id string) ([]byte, error) {
	return typedCall(ctx, c, c.client.GetChatCompletion, &chatv1.GetChatCompletionRequest{CompletionId: id})
}

func (c typedClient) update(ctx context.Context, id string, metadata map[string]string) ([]byte, error) {
	return typedCall(ctx, c, c.client.UpdateChatCompletion, &chatv1.UpdateChatCompletionRequest{CompletionId: id, Metadata: metadata})
}

func (c typedClient) remove(ctx context.Context, id string) ([]byte, error) {
	return typedCall(ctx, c, c.client.DeleteChatCompletion, &chatv1.DeleteChatCompletionRequest{CompletionId: id})
}

func (c typedClient) list(ctx context.Context, p page) ([]byte, error) {
	return typedCall(ctx, c, c.client.ListChatCompletions, &chatv1.ListChatCompletionsRequest{
		Model: p.model, Metadata: p.metadata, After: p.after, Limit: p.typedLimit(), Order: p.typedOrder(),
	})
}

func (c typedClient) listMessages(ctx context.Context, id string, p page) ([]byte, error) {
	return typedCall(ctx, c, c.client.ListChatCompletionMessages, &chatv1.ListChatCompletionMessagesRequest{
		CompletionId: id, After: p.after, Limit: p.typedLimit(), Order: p.typedOrder(),
	})
}

func (p page) typedLimit() *int32 {
	if p.limit == nil {
		return nil
	}
	return new(int32(*p.limit))
}

func (p page) typedOrder() sharedv1.ListOrder {
	switch p.order {
	case "asc":
		return sharedv1.ListOrder_LIST_ORDER_ASC
	case "desc":
		return sharedv1.ListOrder_LIST_ORDER_DESC
	default:
		return sharedv1.ListOrder_LIST_ORDER_UNSPECIFIED
	}
}

func (c typedClient) begin(ctx context.Context) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	for name, value := range c.control {
		info.RequestHeader().Set(name, value)
	}
	return ctx
}

// typedCall makes a unary call.
func typedCall[Q any, A restjson.Encodable](
	ctx context.Context, c typedClient, method func(context.Context, Q) (A, error), request Q,
) ([]byte, error) {
	response, err := method(c.begin(ctx), request)
	if err != nil {
		return nil, typedFailure(err)
	}
	return restjson.AppendFull(nil, response)
}

// typedRequest decodes a body as a typed request.
func typedRequest(body []byte) (*chatv1.CreateChatCompletionRequest, error) {
	request := new(chatv1.CreateChatCompletionRequest)
	if err := restjson.Unmarshal(body, request); err != nil {
		return nil, fmt.Errorf("decode the request: %w", err)
	}
	return request, nil
}

// rejection is an error of the typed API for a request that it cannot transcode.
type rejection struct{ error }

// typedFailure converts an error reported by the upstream to a *failure and returns
// other errors unchanged.
func typedFailure(err error) error {
	remote, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	if remote.Code() == connect.CodeInvalidArgument && len(remote.Details()) == 0 {
		return &rejection{err}
	}
	var (
		upstreamError restv1.Error
		retry         errdetails.RetryInfo
		failed        = &failure{retry: never}
	)
	for _, detail := range remote.Details() {
		var problem error
		switch detail.Type {
		case string(proto.MessageName(&upstreamError)):
			problem = proto.Unmarshal(detail.Value, &upstreamError)
		case string(proto.MessageName(&retry)):
			problem = proto.Unmarshal(detail.Value, &retry)
			failed.retry = retry.GetRetryDelay().AsDuration()
		}
		if problem != nil {
			return fmt.Errorf("decode a detail of %w: %w", err, problem)
		}
	}
	if upstreamError.GetHttpStatus() == 0 || upstreamError.GetBodyExcerpt() != "" {
		return err
	}
	if remote.Message() != upstreamError.GetMessage() {
		return fmt.Errorf("%w: got message %q in the detail, want the error's message", err, upstreamError.GetMessage())
	}
	failed.status, failed.id = int(upstreamError.GetHttpStatus()), upstreamError.GetRequestId()
	body, problem := restjson.AppendFull(nil, &upstreamError)
	if problem != nil {
		return problem
	}
	failed.body = body
	return failed
}
