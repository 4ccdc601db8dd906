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

// typedHand is the typed API. Its answers are written in full mode.
type typedHand struct {
	client  chatv1connect.ChatServiceClient
	control control // request metadata
}

func (h typedHand) create(ctx context.Context, body []byte) ([]byte, error) {
	request, err := typedRequest(body)
	if err != nil {
		return nil, err
	}
	return typedCall(ctx, h, h.client.CreateChatCompletion, request)
}

func (h typedHand) stream(ctx context.Context, body []byte) (events [][]byte, err error) {
	request, err := typedRequest(body)
	if err != nil {
		return nil, err
	}
	stream, err := h.client.StreamChatCompletion(h.begin(ctx), request)
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

func (h typedHand) get(ctx context.Context, id string) ([]byte, error) {
	return typedCall(ctx, h, h.client.GetChatCompletion, &chatv1.GetChatCompletionRequest{CompletionId: id})
}

func (h typedHand) update(ctx context.Context, id string, metadata map[string]string) ([]byte, error) {
	return typedCall(ctx, h, h.client.UpdateChatCompletion, &chatv1.UpdateChatCompletionRequest{CompletionId: id, Metadata: metadata})
}

func (h typedHand) remove(ctx context.Context, id string) ([]byte, error) {
	return typedCall(ctx, h, h.client.DeleteChatCompletion, &chatv1.DeleteChatCompletionRequest{CompletionId: id})
}

func (h typedHand) list(ctx context.Context, p page) ([]byte, error) {
	return typedCall(ctx, h, h.client.ListChatCompletions, &chatv1.ListChatCompletionsRequest{
		Model: p.model, Metadata: p.metadata, After: p.after, Limit: p.typedLimit(), Order: p.typedOrder(),
	})
}

func (h typedHand) listMessages(ctx context.Context, id string, p page) ([]byte, error) {
	return typedCall(ctx, h, h.client.ListChatCompletionMessages, &chatv1.ListChatCompletionMessagesRequest{
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

func (h typedHand) begin(ctx context.Context) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	for name, value := range h.control {
		info.RequestHeader().Set(name, value)
	}
	return ctx
}

// typedCall makes a unary call.
func typedCall[Q any, A restjson.Encodable](
	ctx context.Context, h typedHand, method func(context.Context, Q) (A, error), request Q,
) ([]byte, error) {
	answer, err := method(h.begin(ctx), request)
	if err != nil {
		return nil, typedFailure(err)
	}
	return restjson.AppendFull(nil, answer)
}

// typedRequest reads a body as a caller's message.
func typedRequest(body []byte) (*chatv1.CreateChatCompletionRequest, error) {
	request := new(chatv1.CreateChatCompletionRequest)
	if err := restjson.Unmarshal(body, request); err != nil {
		return nil, fmt.Errorf("the request can't be typed: %w", err)
	}
	return request, nil
}

// refusal is an error of the typed API itself, which can't translate a request.
type refusal struct{ error }

// typedFailure is the *failure of an error that the upstream stated, or else the
// error.
func typedFailure(err error) error {
	remote, is := errors.AsType[*connect.Error](err)
	if !is {
		return err
	}
	if remote.Code() == connect.CodeInvalidArgument && len(remote.Details()) == 0 {
		return &refusal{err}
	}
	var (
		stated restv1.Error
		retry  errdetails.RetryInfo
		failed = &failure{retry: never}
	)
	for _, detail := range remote.Details() {
		var problem error
		switch detail.Type {
		case string(proto.MessageName(&stated)):
			problem = proto.Unmarshal(detail.Value, &stated)
		case string(proto.MessageName(&retry)):
			problem = proto.Unmarshal(detail.Value, &retry)
			failed.retry = retry.GetRetryDelay().AsDuration()
		}
		if problem != nil {
			return fmt.Errorf("a detail of %w: %w", err, problem)
		}
	}
	if stated.GetHttpStatus() == 0 || stated.GetBodyExcerpt() != "" {
		return err
	}
	if remote.Message() != stated.GetMessage() {
		return fmt.Errorf("%w has %q as its detail's message", err, stated.GetMessage())
	}
	failed.status, failed.id = int(stated.GetHttpStatus()), stated.GetRequestId()
	body, problem := restjson.AppendFull(nil, &stated)
	if problem != nil {
		return problem
	}
	failed.body = body
	return failed
}
