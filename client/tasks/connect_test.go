//nolint:perfsprint // Short strings are concatenated as in a first draft.
package tasks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// withConnect returns the tasks written with this repository's client.
func withConnect() map[string]task {
	return map[string]task{
		"Hello":                             connectHello,
		"Streaming":                         connectStreaming,
		"A conversation":                    connectConversation,
		"An image":                          connectImage,
		"Tools":                             connectTools,
		"Structured output":                 connectStructured,
		"Errors and retries":                connectErrors,
		"Cancelling":                        connectCancelling,
		"Stored completions, in pages":      connectPages,
		"A parameter newer than the client": connectUnknown,
	}
}

func connectHello(ctx context.Context, url string) (string, error) {
	c := client.New(url)
	completion, err := c.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Hello!")},
	})
	if err != nil {
		return "", err
	}
	return completion.Choices[0].Message.GetContent(), nil
}

func connectStreaming(ctx context.Context, url string) (answer string, err error) {
	c := client.New(url)
	for chunk, err := range c.Chat.Stream(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Tell me a story.")},
	}) {
		if err != nil {
			return "", err
		}
		for _, choice := range chunk.Choices {
			answer += choice.Delta.GetContent()
		}
	}
	return answer, nil
}

func connectConversation(ctx context.Context, url string) (answer string, err error) {
	c := client.New(url)
	request := &chatv1.CreateChatCompletionRequest{
		Model:       "sandbox",
		Messages:    []*chatv1.Message{client.Developer("Be brief.")},
		Temperature: new(0.2),
	}
	for _, question := range []string{"Who are you?", "And who am I?"} {
		request.Messages = append(request.Messages, client.User(question))
		completion, err := c.Chat.Create(ctx, request)
		if err != nil {
			return "", err
		}
		request.Messages = append(request.Messages, completion.Choices[0].Message)
		answer += completion.Choices[0].Message.GetContent() + "\n"
	}
	return answer, nil
}

func connectImage(ctx context.Context, url string) (string, error) {
	c := client.New(url)
	image := []byte("\x89PNG\r\n\x1a\n")
	completion, err := c.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
		Model: "sandbox",
		Messages: []*chatv1.Message{client.UserParts(
			client.Text("What is in this image?"),
			client.Image(image, "image/png"),
		)},
	})
	if err != nil {
		return "", err
	}
	return completion.Choices[0].Message.GetContent(), nil
}

func connectTools(ctx context.Context, url string) (string, error) {
	type place struct {
		City string `json:"city" jsonschema:"the city, with its country"`
	}
	weather, err := client.NewTool("weather", "The weather at a place.",
		func(_ context.Context, at place) (string, error) { return "Clear in " + at.City, nil })
	if err != nil {
		return "", err
	}
	c := client.New(url)
	completion, _, err := c.Chat.RunTools(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("What is the weather in Paris?")},
	}, weather)
	if err != nil {
		return "", err
	}
	return completion.Choices[0].Message.GetContent(), nil
}

func connectStructured(ctx context.Context, url string) (string, error) {
	type event struct {
		Name string `json:"name"`
		Day  string `json:"day"`
	}
	c := client.New(url)
	fair, _, err := client.CreateAs[event](ctx, c.Chat, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Ann goes to a fair on Saturday.")},
	})
	if err != nil {
		return "", err
	}
	return fair.Name + " on " + fair.Day, nil
}

func connectErrors(ctx context.Context, url string) (string, error) {
	c := client.New(url, client.WithMaxRetries(5), client.WithHeader("X-Sandbox-Status", "401"))
	_, err := c.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Hello!")},
	})
	if failed, ok := errors.AsType[*client.Error](err); ok {
		return fmt.Sprintf("%d %s %s: %s", failed.Status, failed.Type, failed.Code, failed.Message), nil
	}
	return "", err
}

func connectCancelling(ctx context.Context, url string) (answer string, err error) {
	c := client.New(url)
	for chunk, err := range c.Chat.Stream(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Tell me a long story.")},
	}) {
		if err != nil {
			return "", err
		}
		if answer += chunk.Choices[0].Delta.GetContent(); len(answer) > 20 {
			break
		}
	}
	return answer, nil
}

func connectPages(ctx context.Context, url string) (names string, err error) {
	c := client.New(url)
	for completion, err := range c.Chat.List(ctx, &chatv1.ListChatCompletionsRequest{
		Limit: new(int32(2)),
	}) {
		if err != nil {
			return "", err
		}
		names += completion.Metadata["name"] + " "
	}
	return names, nil
}

func connectUnknown(ctx context.Context, url string) (string, error) {
	c := client.New(url, client.WithHeader("X-Sandbox-Unknown", "accept"))
	completion, err := c.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
		Model:     "sandbox",
		Messages:  []*chatv1.Message{client.User("Hello!")},
		ExtraJson: `{"playfulness":0.5}`,
	})
	if err != nil {
		return "", err
	}
	return completion.ExtraJson, nil
}
