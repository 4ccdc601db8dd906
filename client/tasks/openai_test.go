//nolint:perfsprint // As in connect_test.go.
package tasks_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// withOpenAI returns the tasks written with OpenAI's client, for the same server.
func withOpenAI() map[string]task {
	return map[string]task{
		"Hello":                             openaiHello,
		"Streaming":                         openaiStreaming,
		"A conversation":                    openaiConversation,
		"An image":                          openaiImage,
		"Tools":                             openaiTools,
		"Structured output":                 openaiStructured,
		"Errors and retries":                openaiErrors,
		"Cancelling":                        openaiCancelling,
		"Stored completions, in pages":      openaiPages,
		"A parameter newer than the client": openaiUnknown,
	}
}

func openaiHello(ctx context.Context, url string) (string, error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	completion, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
	})
	if err != nil {
		return "", err
	}
	return completion.Choices[0].Message.Content, nil
}

func openaiStreaming(ctx context.Context, url string) (answer string, err error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	stream := c.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell me a story.")},
	})
	defer stream.Close()
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			answer += choice.Delta.Content
		}
	}
	if err := stream.Err(); err != nil {
		return "", err
	}
	return answer, nil
}

func openaiConversation(ctx context.Context, url string) (answer string, err error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	params := openai.ChatCompletionNewParams{
		Model:       "sandbox",
		Messages:    []openai.ChatCompletionMessageParamUnion{openai.DeveloperMessage("Be brief.")},
		Temperature: openai.Float(0.2),
	}
	for _, question := range []string{"Who are you?", "And who am I?"} {
		params.Messages = append(params.Messages, openai.UserMessage(question))
		completion, err := c.Chat.Completions.New(ctx, params)
		if err != nil {
			return "", err
		}
		params.Messages = append(params.Messages, completion.Choices[0].Message.ToParam())
		answer += completion.Choices[0].Message.Content + "\n"
	}
	return answer, nil
}

func openaiImage(ctx context.Context, url string) (string, error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	image := []byte("\x89PNG\r\n\x1a\n")
	completion, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model: "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart("What is in this image?"),
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{
				URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(image),
			}),
		})},
	})
	if err != nil {
		return "", err
	}
	return completion.Choices[0].Message.Content, nil
}

func openaiTools(ctx context.Context, url string) (string, error) {
	type place struct {
		City string `json:"city" jsonschema:"the city, with its country"`
	}
	weather := func(_ context.Context, at place) string { return "Clear in " + at.City }
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	params := openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the weather in Paris?")},
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name:        "weather",
			Description: openai.String("The weather at a place."),
			Strict:      openai.Bool(true),
			Parameters: openai.FunctionParameters{
				"type": "object",
				"properties": map[string]any{
					"city": map[string]any{"type": "string", "description": "the city, with its country"},
				},
				"required":             []string{"city"},
				"additionalProperties": false,
			},
		})},
	}
	for range 10 {
		completion, err := c.Chat.Completions.New(ctx, params)
		if err != nil {
			return "", err
		}
		answer := completion.Choices[0].Message
		if len(answer.ToolCalls) == 0 {
			return answer.Content, nil
		}
		params.Messages = append(params.Messages, answer.ToParam())
		for _, call := range answer.ToolCalls {
			var at place
			if err := json.Unmarshal([]byte(call.Function.Arguments), &at); err != nil {
				return "", err
			}
			params.Messages = append(params.Messages, openai.ToolMessage(weather(ctx, at), call.ID))
		}
	}
	return "", errors.New("the model still calls tools")
}

func openaiStructured(ctx context.Context, url string) (string, error) {
	type event struct {
		Name string `json:"name"`
		Day  string `json:"day"`
	}
	schema, err := jsonschema.For[event](nil)
	if err != nil {
		return "", err
	}
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	completion, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Ann goes to a fair on Saturday.")},
		ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{
			OfJSONSchema: &openai.ResponseFormatJSONSchemaParam{
				JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{
					Name: "event", Schema: schema, Strict: openai.Bool(true),
				},
			},
		},
	})
	if err != nil {
		return "", err
	}
	if refusal := completion.Choices[0].Message.Refusal; refusal != "" {
		return "", errors.New(refusal)
	}
	var fair event
	if err := json.Unmarshal([]byte(completion.Choices[0].Message.Content), &fair); err != nil {
		return "", err
	}
	return fair.Name + " on " + fair.Day, nil
}

func openaiErrors(ctx context.Context, url string) (string, error) {
	c := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithMaxRetries(5), option.WithHeader("X-Sandbox-Status", "401"))
	_, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
	})
	if failed, ok := errors.AsType[*openai.Error](err); ok {
		return fmt.Sprintf("%d %s %s: %s", failed.StatusCode, failed.Type, failed.Code, failed.Message), nil
	}
	return "", err
}

func openaiCancelling(ctx context.Context, url string) (answer string, err error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	stream := c.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell me a long story.")},
	})
	defer stream.Close()
	for stream.Next() {
		if answer += stream.Current().Choices[0].Delta.Content; len(answer) > 20 {
			break
		}
	}
	if err := stream.Err(); err != nil {
		return "", err
	}
	return answer, nil
}

func openaiPages(ctx context.Context, url string) (names string, err error) {
	c := openai.NewClient(option.WithBaseURL(url + "/v1"))
	pages := c.Chat.Completions.ListAutoPaging(ctx, openai.ChatCompletionListParams{
		Limit: openai.Int(2),
	})
	for pages.Next() {
		names += pages.Current().Metadata["name"] + " "
	}
	if err := pages.Err(); err != nil {
		return "", err
	}
	return names, nil
}

func openaiUnknown(ctx context.Context, url string) (string, error) {
	c := openai.NewClient(option.WithBaseURL(url+"/v1"), option.WithHeader("X-Sandbox-Unknown", "accept"))
	params := openai.ChatCompletionNewParams{
		Model:    "sandbox",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
	}
	params.SetExtraFields(map[string]any{"playfulness": 0.5})
	completion, err := c.Chat.Completions.New(ctx, params)
	if err != nil {
		return "", err
	}
	return `{"playfulness":` + completion.JSON.ExtraFields["playfulness"].Raw() + `}`, nil
}
