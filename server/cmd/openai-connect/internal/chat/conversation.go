// Package chat implements `openai-connect chat`: one prompt, or an interactive session at
// a terminal.
package chat

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Conversation holds the messages so far, and how the next prompt is sent.
type Conversation struct {
	Client *client.Client
	// Request holds the model and the parameters. Its messages are ignored.
	Request *chatv1.CreateChatCompletionRequest
	// System is the system prompt, empty for none.
	System string
	// NoStream requests unary responses.
	NoStream bool
	// Usage requests token usage at the end of a stream.
	Usage bool

	messages []*chatv1.Message
}

// reply is the response to a prompt.
type reply struct {
	completion *chatv1.ChatCompletion // possibly incomplete
	first      time.Duration          // time to the first text; 0 without text
	total      time.Duration          // total time
}

// message returns the message of the reply, or nil without one.
func (r reply) message() *chatv1.Message {
	if choices := r.completion.GetChoices(); len(choices) > 0 {
		return choices[0].GetMessage()
	}
	return nil
}

// request returns a request with the messages so far and a prompt.
func (c *Conversation) request(question ...*chatv1.Message) *chatv1.CreateChatCompletionRequest {
	request := proto.CloneOf(c.Request)
	request.Messages = nil
	if c.System != "" {
		request.Messages = append(request.Messages, client.System(c.System))
	}
	request.Messages = append(request.Messages, c.messages...)
	request.Messages = append(request.Messages, question...)
	return request
}

// ask sends a prompt and shows the text of the reply as it arrives. The prompt and the
// reply become part of the conversation, also if the reply was canceled after its first
// text. A failed prompt does not, and can be repeated.
func (c *Conversation) ask(ctx context.Context, question string, show func(text string) error) (reply, error) {
	got, err := c.fetchReply(ctx, c.request(client.User(question)), show)
	canceled := ctx.Err() != nil && got.first > 0
	if message := got.message(); message != nil && (err == nil || canceled) {
		c.messages = append(c.messages, client.User(question), message)
	}
	return got, err
}

func (c *Conversation) fetchReply(ctx context.Context, request *chatv1.CreateChatCompletionRequest, show func(string) error) (got reply, err error) {
	begin := time.Now()
	defer func() { got.total = time.Since(begin) }()
	showAny := func(text string) error {
		if text == "" {
			return nil
		}
		if got.first == 0 {
			got.first = time.Since(begin)
		}
		if err := show(text); err != nil {
			return fmt.Errorf("write the response: %w", err)
		}
		return nil
	}
	if c.NoStream {
		if got.completion, err = c.Client.Chat.Create(ctx, request); err != nil {
			return got, err
		}
		return got, showAny(client.TextOf(got.message()) + client.RefusalOf(got.message()))
	}
	if c.Usage {
		request.StreamOptions = &chatv1.StreamOptions{IncludeUsage: new(true)}
	}
	var accumulator client.Accumulator
	defer func() { got.completion = accumulator.Completion() }()
	for chunk, err := range c.Client.Chat.Stream(ctx, request) {
		if err != nil {
			return got, err
		}
		accumulator.Add(chunk)
		if err := showAny(accumulator.Added()); err != nil {
			return got, err
		}
	}
	return got, nil
}
