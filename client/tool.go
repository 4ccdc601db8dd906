package client

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// A Tool is a Go function that the model may call. [ChatService.RunTools] lets it.
type Tool struct {
	name       string
	definition *chatv1.Tool
	call       func(ctx context.Context, arguments string) (string, error)
}

// NewTool makes a tool of a function. Its name is up to 64 letters, digits,
// underscores and dashes; by its description the model decides when to call it.
//
// Args is a struct, whose JSON Schema the model keeps to. A field is named as
// encoding/json names it, described by a tag `jsonschema` (or
// `jsonschema_description`), and limited to some strings by a tag `enum`, which
// has commas between them. What may be left out is a pointer or has omitempty or
// omitzero. A time.Time is a date and time, and a type with UnmarshalText is a
// string. The model reads the Result as JSON, or as it is if it is a string; and
// the text of an error, so that it can try again.
//
// The error says what of Args has no place in a strict schema: maps, interfaces,
// types that contain themselves, and types with UnmarshalJSON, such as
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
				return "", fmt.Errorf("the arguments of %s don't fit: %w", name, err)
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
				return "", fmt.Errorf("the result of %s is no JSON: %w", name, err)
			}
			return string(text), nil
		},
	}, nil
}

// Definition is how a request offers the tool, in its tools.
func (t Tool) Definition() *chatv1.Tool { return t.definition }

// Call runs the function with arguments as the model wrote them.
func (t Tool) Call(ctx context.Context, arguments string) (string, error) {
	return t.call(ctx, arguments)
}
