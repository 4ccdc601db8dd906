package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Why [CreateAs] has no value to return although the call succeeded. The
// completion that it returns has what the model said.
var (
	// ErrRefused is that the model would not answer.
	ErrRefused = errors.New("client: the model refuses")
	// ErrTruncated is that the answer ends at the token limit: raise
	// max_completion_tokens.
	ErrTruncated = errors.New("client: the answer is cut short by the token limit")
	// ErrFiltered is that a content filter left out some or all of the answer.
	ErrFiltered = errors.New("client: the answer is cut short by a content filter")
	// ErrNoAnswer is that the model called tools, or gave no choice at all.
	ErrNoAnswer = errors.New("client: the model gives no answer")
)

// CreateAs answers a conversation with a value of type T, a struct: the answer
// keeps to the JSON Schema of the type, strictly, and of several choices it is
// the first. The type's fields are as [NewTool] says. It sets the request's
// response_format, which has to be unset; the request stays as it is.
//
// The completion is returned wherever there is one. The error is one of
// [ErrRefused], [ErrTruncated], [ErrFiltered] and [ErrNoAnswer], or says what of
// T has no schema, or what of the answer doesn't fit, or is that of the call.
func CreateAs[T any](ctx context.Context, chat *ChatService, request *chatv1.CreateChatCompletionRequest) (T, *chatv1.ChatCompletion, error) {
	var none T
	of := reflect.TypeFor[T]()
	if request.GetResponseFormat() != nil {
		return none, nil, errors.New("client: CreateAs sets response_format itself: leave it unset, or use Create")
	}
	schema, err := schemaOf(of)
	if err != nil {
		return none, nil, err
	}
	request = proto.CloneOf(request)
	request.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonSchema{
		JsonSchema: &chatv1.JSONSchema{Name: schemaName(of), SchemaJson: schema, Strict: new(true)},
	}}
	completion, err := chat.Create(ctx, request)
	if err != nil {
		return none, nil, err
	}
	text, err := answerOf(completion)
	if err != nil {
		return none, completion, err
	}
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return none, completion, fmt.Errorf("client: the answer is no %v: %w", of, err)
	}
	return value, completion, nil
}

// answerOf is the first choice's text, if it is whole.
func answerOf(completion *chatv1.ChatCompletion) (string, error) {
	if len(completion.GetChoices()) == 0 {
		return "", fmt.Errorf("%w: there is no choice", ErrNoAnswer)
	}
	choice := completion.GetChoices()[0]
	if refusal := RefusalOf(choice.GetMessage()); refusal != "" {
		return "", fmt.Errorf("%w: %s", ErrRefused, refusal)
	}
	switch choice.GetFinishReason() {
	case chatv1.FinishReason_FINISH_REASON_LENGTH:
		return "", ErrTruncated
	case chatv1.FinishReason_FINISH_REASON_CONTENT_FILTER:
		return "", ErrFiltered
	default:
	}
	if len(choice.GetMessage().GetToolCalls()) > 0 {
		return "", fmt.Errorf("%w: it calls tools", ErrNoAnswer)
	}
	return TextOf(choice.GetMessage()), nil
}

// maxSchemaName is the most characters that OpenAI takes in a schema's name.
const maxSchemaName = 64

// schemaName is a type's name, in the characters that OpenAI takes.
func schemaName(of reflect.Type) string {
	name := strings.Map(func(char rune) rune {
		switch {
		case 'a' <= char && char <= 'z', 'A' <= char && char <= 'Z', '0' <= char && char <= '9', char == '_', char == '-':
			return char
		default:
			return '_'
		}
	}, of.Name())
	if name == "" {
		return "answer"
	}
	return name[:min(len(name), maxSchemaName)]
}
