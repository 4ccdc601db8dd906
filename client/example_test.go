package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
)

// A server on the embedded upstream, in place of http://127.0.0.1:8080.
func serveSandbox() (url string, stop func()) {
	front, err := server.New(server.Config{Upstream: server.Sandbox})
	if err != nil {
		log.Fatal(err)
	}
	url, closeListener := serve(front)
	return url, func() {
		closeListener()
		_ = front.Close()
	}
}

func Example() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	completion, err := openai.Chat.Create(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:       "sandbox",
		Messages:    []*chatv1.Message{client.User("Hello!")},
		Temperature: new(0.2),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(completion.Choices[0].Message.GetContent())
	// Output: This is the sandbox: no model, no key, no network. You said: "Hello!"
}

func ExampleNew() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url,
		client.WithAPIKey("sk-example"),
		client.WithProtocol(client.GRPC),
		client.WithHeader("OpenAI-Organization", "org-example"),
		client.WithMaxRetries(5))
	completion, err := openai.Chat.Create(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.Developer("Be brief."), client.User("Hello!")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(completion.Model)
	// Output: sandbox
}

func ExampleChatService_Stream() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	for chunk, err := range openai.Chat.Stream(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Hello!")},
	}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, choice := range chunk.Choices {
			fmt.Print(choice.Delta.GetContent())
		}
	}
	fmt.Println()
	// Output: This is the sandbox: no model, no key, no network. You said: "Hello!"
}

func ExampleAccumulator() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	var whole client.Accumulator
	for chunk, err := range openai.Chat.Stream(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:         "sandbox",
		Messages:      []*chatv1.Message{client.User("Hello!")},
		N:             new(int32(2)),
		StreamOptions: &chatv1.StreamOptions{IncludeUsage: new(true)},
	}) {
		if err != nil {
			log.Fatal(err)
		}
		whole.Add(chunk)
	}
	completion := whole.Completion()
	for _, choice := range completion.Choices {
		fmt.Println(choice.Index, choice.Message.GetContent(), choice.FinishReason)
	}
	fmt.Println(completion.Usage.GetCompletionTokens(), "tokens")
	// Output:
	// 0 (1 of 2) This is the sandbox: no model, no key, no network. You said: "Hello!" FINISH_REASON_STOP
	// 1 (2 of 2) This is the sandbox: no model, no key, no network. You said: "Hello!" FINISH_REASON_STOP
	// 50 tokens
}

func ExampleChatService_RunTools() {
	url, stop := serveSandbox()
	defer stop()

	type place struct {
		City string `json:"city" jsonschema:"the city, with its country"`
		Unit string `json:"unit" enum:"celsius,fahrenheit"`
	}
	type weather struct {
		Degrees float64 `json:"degrees"`
		Sky     string  `json:"sky"`
	}
	forecast, err := client.NewTool("forecast", "The weather at a place.",
		func(_ context.Context, at place) (weather, error) {
			fmt.Printf("forecast(%s, %s)\n", at.City, at.Unit)
			return weather{Degrees: 21, Sky: "clear"}, nil
		})
	if err != nil {
		log.Fatal(err)
	}

	openai := client.New(url)
	completion, conversation, err := openai.Chat.RunTools(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("What is the weather in Paris?")},
	}, forecast)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(completion.Choices[0].Message.GetContent())
	for _, message := range conversation {
		fmt.Println(message.Role)
	}
	// Output:
	// forecast(sample city, celsius)
	// This is the sandbox: no model, no key, no network. The tool answered: "{"degrees":21,"sky":"clear"}"
	// ROLE_USER
	// ROLE_ASSISTANT
	// ROLE_TOOL
	// ROLE_ASSISTANT
}

func ExampleNewTool() {
	type search struct {
		Query string   `json:"query" jsonschema:"what to look for"`
		Kinds []string `json:"kinds" enum:"book,film"`
		Limit int      `json:"limit,omitempty"`
	}
	find, err := client.NewTool("find", "Looks into the library.",
		func(_ context.Context, s search) (string, error) { return "Nothing of " + s.Query, nil })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(find.Definition().GetFunction().GetParametersJson())
	// Output: {"type":"object","properties":{"query":{"type":"string","description":"what to look for"},"kinds":{"type":"array","items":{"type":"string","enum":["book","film"]}},"limit":{"type":["integer","null"]}},"required":["query","kinds","limit"],"additionalProperties":false}
}

func ExampleCreateAs() {
	url, stop := serveSandbox()
	defer stop()

	type event struct {
		Name         string   `json:"name"`
		Day          string   `json:"day" enum:"saturday,sunday"`
		Participants []string `json:"participants"`
	}
	openai := client.New(url)
	fair, _, err := client.CreateAs[event](context.Background(), openai.Chat, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Ann and Bob go to a fair on Saturday.")},
	})
	switch {
	case errors.Is(err, client.ErrRefused):
		log.Fatal("It won't say: ", err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", fair)
	// Output: {Name:sample name Day:saturday Participants:[sample participants]}
}

func ExampleUserParts() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	completion, err := openai.Chat.Create(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model: "sandbox",
		Messages: []*chatv1.Message{client.UserParts(
			client.Text("What do these have in common?"),
			client.ImageURL("https://example.com/cat.jpg"),
			client.Image([]byte("\x89PNG\r\n\x1a\n"), "image/png"),
			client.File("cats.pdf", []byte("%PDF-1.7")),
		)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(completion.Choices[0].Message.GetContent())
	// Output: This is the sandbox: no model, no key, no network. You said: "What do these have in common?" With it came 2 images and 1 file.
}

func ExampleError() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url,
		client.WithMaxRetries(0),
		client.WithHeader("X-Sandbox-Status", "429")) // The sandbox returns this status.
	_, err := openai.Chat.Create(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.User("Hello!")},
	})
	if failed, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(failed.Status == http.StatusTooManyRequests, failed.Code, failed.RetryAfter)
		fmt.Println(client.IsRateLimited(err), failed.Message)
	}
	// Output:
	// true rate_limit_exceeded 1s
	// true The sandbox was asked to fail with status 429.
}

func ExampleChatService_List() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	ctx := context.Background()
	for _, name := range []string{"Ann", "Bob", "Eve"} {
		if _, err := openai.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
			Model:    "sandbox",
			Messages: []*chatv1.Message{client.User("I am " + name + ".")},
			Store:    new(true),
			Metadata: map[string]string{"name": name},
		}); err != nil {
			log.Fatal(err)
		}
	}
	for completion, err := range openai.Chat.List(ctx, &chatv1.ListChatCompletionsRequest{Limit: new(int32(2))}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(completion.Metadata["name"])
	}
	// Output:
	// Ann
	// Bob
	// Eve
}

func ExampleChatService_Update() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	ctx := context.Background()
	created, err := openai.Chat.Create(ctx, &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{client.Developer("Be brief."), client.User("Hello!")},
		Store:    new(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	for message, err := range openai.Chat.Messages(ctx, &chatv1.ListChatCompletionMessagesRequest{CompletionId: created.Id}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(message.Role, message.GetContent())
	}
	updated, err := openai.Chat.Update(ctx, &chatv1.UpdateChatCompletionRequest{
		CompletionId: created.Id,
		Metadata:     map[string]string{"reviewed": "yes"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(updated.Metadata)
	if _, err := openai.Chat.Delete(ctx, created.Id); err != nil {
		log.Fatal(err)
	}
	_, err = openai.Chat.Get(ctx, created.Id)
	fmt.Println("gone:", client.IsNotFound(err))
	// Output:
	// ROLE_DEVELOPER Be brief.
	// ROLE_USER Hello!
	// map[reviewed:yes]
	// gone: true
}

func ExampleChatService_Stub() {
	url, stop := serveSandbox()
	defer stop()

	openai := client.New(url)
	ctx, info := connect.NewClientContext(context.Background())
	info.RequestHeader().Set("X-Client-Request-Id", "42")
	_, err := openai.Chat.Stub().GetChatCompletion(ctx, &chatv1.GetChatCompletionRequest{CompletionId: "chatcmpl-1"})
	fmt.Println(connect.CodeOf(err))
	fmt.Println(strings.HasPrefix(info.ResponseHeader().Get("X-Request-Id"), "req_"))
	// Output:
	// not_found
	// true
}
