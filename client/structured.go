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

// Errors of [CreateAs] for a successful call without a value. The completion is
// returned with them.
var (
	// ErrRefused means that the model refused the request.
	ErrRefused = errors.New("client: the model refused the request")
	// ErrTruncated means that the response reached the token limit: raise
	// max_completion_tokens.
	ErrTruncated = errors.New("client: the response was truncated at the token limit")
	// ErrFiltered means that a content filter removed some or all of the response.
	ErrFiltered = errors.New("client: the response was truncated by a content filter")
	// ErrNoAnswer means that the model called tools or returned no choice.
	ErrNoAnswer = errors.New("client: the response has no content")
)

// CreateAs returns the model's response to a conversation as a T, a struct. The
// model must follow the JSON Schema of T strictly. [NewTool] describes how fields
// map to the schema. CreateAs sets the response_format of a copy of the request;
// it must be unset in the request. If there are several choices, the first one is
// used.
//
// The completion is returned whenever the call succeeded. The error is
// [ErrRefused], [ErrTruncated], [ErrFiltered] or [ErrNoAnswer], describes a field
// of T without a schema or a response that does not match T, or is the error of
// the call.
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
	text, err := contentOf(completion)
	if err != nil {
		return none, completion, err
	}
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return none, completion, fmt.Errorf("client: the response does not match %v: %w", of, err)
	}
	return value, completion, nil
}

// contentOf returns the text of the first choice, if it is complete.
func contentOf(completion *chatv1.ChatCompletion) (string, error) {
	if len(completion.GetChoices()) == 0 {
		return "", fmt.Errorf("%w: it has no choices", ErrNoAnswer)
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

// maxSchemaName is OpenAI's maximum length of a schema name, in characters.
const maxSchemaName = 64

// schemaName returns the name of a type with invalid characters replaced.
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
