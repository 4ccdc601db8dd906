package chat

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Once asks one question and writes the text of the answer, as it comes, and an
// end of line behind it.
func (c *Conversation) Once(ctx context.Context, question string, out *Output) error {
	got, err := c.ask(ctx, question, out.text)
	out.endLine()
	if err != nil {
		return explain(err)
	}
	out.summarize(got)
	return nil
}

// OnceJSON asks one question and writes the answer as OpenAI's JSON, one object a
// line: the chat.completion, or, of a stream, each chat.completion.chunk as it
// comes. On a terminal, characters that control one are escaped.
func (c *Conversation) OnceJSON(ctx context.Context, question string, out *Output) error {
	request := c.request(client.User(question))
	if c.Whole {
		completion, err := c.Client.Chat.Create(ctx, request)
		if err != nil {
			return explain(err)
		}
		return writeJSON(out, completion)
	}
	for chunk, err := range c.Client.Chat.Stream(ctx, request) {
		if err != nil {
			return explain(err)
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
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	if out.Terminal {
		line = []byte(harmlessJSON(string(line)))
	}
	if _, err := out.Answers.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
