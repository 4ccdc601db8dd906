package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openai/chat/v1"
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
	completion, err := openai.Chat.CreateChatCompletion(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(completion.Choices[0].Message.GetContent())
	// Output: This is the sandbox: no model, no key, no network. You said: "Hello!"
}

func Example_stream() {
	url, stop := serveSandbox()
	defer stop()

	// gRPC, and a key: the sandbox needs none.
	openai := client.New(url, client.WithProtocol(client.GRPC), client.WithAPIKey("sk-example"))
	stream, err := openai.Chat.StreamChatCompletion(context.Background(), &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for {
		chunk, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
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
