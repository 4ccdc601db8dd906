package chat

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// OneShot sends one prompt. It writes the text of the reply as it arrives, and a newline.
func (c *Conversation) OneShot(ctx context.Context, question string, out *Output) error {
	got, err := c.ask(ctx, question, out.text)
	out.endLine()
	if err != nil {
		return withHint(err)
	}
	out.summarize(got)
	return nil
}

// OneShotJSON sends one prompt and writes the response as OpenAI's JSON, one object per
// line: the chat.completion, or each chat.completion.chunk of a stream as it arrives.
// For a terminal, control characters are escaped.
func (c *Conversation) OneShotJSON(ctx context.Context, question string, out *Output) error {
	request := c.request(client.User(question))
	if c.NoStream {
		completion, err := c.Client.Chat.Create(ctx, request)
		if err != nil {
			return withHint(err)
		}
		return writeJSON(out, completion)
	}
	for chunk, err := range c.Client.Chat.Stream(ctx, request) {
		if err != nil {
			return withHint(err)
		}
		if err := writeJSON(out, chunk); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(out *Output, message interface {
	restjson.Encodable
	proto.Message
},
) error {
	line, err := restjson.AppendFull(nil, message)
	if err != nil {
		return fmt.Errorf("write the response as JSON: %w", err)
	}
	if out.Terminal {
		line = []byte(escapeControlJSON(string(line)))
	}
	if _, err := out.Text.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the response: %w", err)
	}
	return nil
}
