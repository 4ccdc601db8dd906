// Package chat is what `openai-connect chat` does: a conversation with a model,
// of one question or of as many as the user of a terminal has.
package chat

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// Conversation is what was said so far, and how the next question is asked.
type Conversation struct {
	// Client is by whom it is asked.
	Client *client.Client
	// Request has the model and the parameters. Its messages aren't looked at.
	Request *chatv1.CreateChatCompletionRequest
	// System is the system prompt, empty for none.
	System string
	// Whole is whether an answer is waited for as a whole, and not streamed.
	Whole bool
	// Usage is whether a stream is asked for the tokens that it took.
	Usage bool

	said []*chatv1.Message
}

// answer is what became of a question.
type answer struct {
	completion *chatv1.ChatCompletion // as far as it came
	first      time.Duration          // until the first text, and 0 if there was none
	whole      time.Duration          // until the end
}

// message is what was answered, nil if nothing was.
func (a answer) message() *chatv1.Message {
	if choices := a.completion.GetChoices(); len(choices) > 0 {
		return choices[0].GetMessage()
	}
	return nil
}

// request is the request for what was said, and a question.
func (c *Conversation) request(question ...*chatv1.Message) *chatv1.CreateChatCompletionRequest {
	request := proto.CloneOf(c.Request)
	request.Messages = nil
	if c.System != "" {
		request.Messages = append(request.Messages, client.System(c.System))
	}
	request.Messages = append(request.Messages, c.said...)
	request.Messages = append(request.Messages, question...)
	return request
}

// ask asks a question, and has the answer's text shown as it comes. A question
// that was answered is part of the conversation from then on, and so is one whose
// answer was canceled, with what there was of it. One that failed isn't: it can
// be asked again.
func (c *Conversation) ask(ctx context.Context, question string, show func(text string) error) (answer, error) {
	got, err := c.answer(ctx, c.request(client.User(question)), show)
	canceled := ctx.Err() != nil && got.first > 0
	if message := got.message(); message != nil && (err == nil || canceled) {
		c.said = append(c.said, client.User(question), message)
	}
	return got, err
}

func (c *Conversation) answer(ctx context.Context, request *chatv1.CreateChatCompletionRequest, show func(string) error) (got answer, err error) {
	begin := time.Now()
	defer func() { got.whole = time.Since(begin) }()
	showAny := func(text string) error {
		if text == "" {
			return nil
		}
		if got.first == 0 {
			got.first = time.Since(begin)
		}
		if err := show(text); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		return nil
	}
	if c.Whole {
		if got.completion, err = c.Client.Chat.Create(ctx, request); err != nil {
			return got, err
		}
		return got, showAny(client.TextOf(got.message()) + client.RefusalOf(got.message()))
	}
	if c.Usage {
		request.StreamOptions = &chatv1.StreamOptions{IncludeUsage: new(true)}
	}
	var folded client.Accumulator
	defer func() { got.completion = folded.Completion() }()
	for chunk, err := range c.Client.Chat.Stream(ctx, request) {
		if err != nil {
			return got, err
		}
		folded.Add(chunk)
		if err := showAny(folded.Added()); err != nil {
			return got, err
		}
	}
	return got, nil
}
