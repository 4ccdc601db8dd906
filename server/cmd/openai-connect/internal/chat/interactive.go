package chat

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
)

// Interact asks what the user of a terminal types, until a Ctrl-D, /quit, or the
// end of ctx. A Ctrl-C cancels the answer that is being written, or the line that
// is being typed. The history of lines is kept in the file at a path, and without
// one until the end.
func (c *Conversation) Interact(ctx context.Context, in, terminal *os.File, out *Output, historyPath string) (err error) {
	history, err := openHistory(historyPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, history.close()) }()
	// For the life of the conversation, so that a Ctrl-C between two answers
	// doesn't end the program.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt)
	defer signal.Stop(ignored)

	prompt := newPrompt(ctx, in, terminal, history)
	out.notef("Model: %s. /help lists the commands, Ctrl-C cancels an answer, Ctrl-D ends.", c.Request.GetModel())
	for {
		line, err := prompt.read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errInterrupted):
			out.notef("Ctrl-D ends.")
			continue
		case err != nil:
			return err
		}
		name, argument, isCommand := parseCommand(line)
		if isCommand && name == "quit" {
			return nil
		}
		if isCommand {
			c.run(name, argument, out)
		} else if line != "" {
			c.converse(ctx, line, out)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// converse asks a question and tells how that went.
func (c *Conversation) converse(ctx context.Context, question string, out *Output) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	got, err := c.ask(ctx, question, out.text)
	out.endLine()
	switch {
	case ctx.Err() != nil:
		out.notef("[canceled]")
	case err != nil:
		out.notef("%v", explain(err))
	default:
		out.summarize(got)
	}
}
