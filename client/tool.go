package client

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Tool is a Go function that the model may call: see [ChatService.RunTools].
type Tool struct {
	name       string
	definition *chatv1.Tool
	call       func(ctx context.Context, arguments string) (string, error)
}

// NewTool returns a tool that runs a function. The name has up to 64 letters,
// digits, underscores and dashes. The model uses the description to decide when to
// call the tool.
//
// Args is a struct. The model must follow its JSON Schema strictly. Fields have the
// names that encoding/json gives them. The tag `jsonschema` (or
// `jsonschema_description`) describes a field, and the tag `enum` lists its allowed
// strings, separated by commas. Pointers and fields with omitempty or omitzero are
// optional. A time.Time is a date and time; a type with UnmarshalText is a string.
// The Result is sent to the model as JSON, or unchanged if it is a string. The
// message of an error is sent as well, so that the model can correct its call.
//
// NewTool returns an error for types that a strict schema cannot describe: maps,
// interfaces, recursive types and types with UnmarshalJSON, such as
// json.RawMessage.
func NewTool[Args, Result any](name, description string, run func(context.Context, Args) (Result, error)) (Tool, error) {
	schema, err := schemaOf(reflect.TypeFor[Args]())
	if err != nil {
		return Tool{}, fmt.Errorf("tool %s: %w", name, err)
	}
	return Tool{
		name: name,
		definition: &chatv1.Tool{Tool: &chatv1.Tool_Function{Function: &chatv1.FunctionTool{
			Name: name, Description: &description, ParametersJson: schema, Strict: new(true),
		}}},
		call: func(ctx context.Context, arguments string) (string, error) {
			var args Args
			if err := json.Unmarshal([]byte(arguments), &args); err != nil {
				return "", fmt.Errorf("invalid arguments of %s: %w", name, err)
			}
			result, err := run(ctx, args)
			if err != nil {
				return "", err
			}
			if text, ok := any(result).(string); ok {
				return text, nil
			}
			text, err := json.Marshal(result)
			if err != nil {
				return "", fmt.Errorf("the result of %s cannot be encoded as JSON: %w", name, err)
			}
			return string(text), nil
		},
	}, nil
}

// Definition returns the tool for the tools of a request.
func (t Tool) Definition() *chatv1.Tool { return t.definition }

// Call runs the function with the arguments of a tool call, a JSON object.
func (t Tool) Call(ctx context.Context, arguments string) (string, error) {
	return t.call(ctx, arguments)
}
