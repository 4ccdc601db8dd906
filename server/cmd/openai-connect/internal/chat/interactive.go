package chat

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
)

// Interact runs an interactive session until Ctrl-D, /quit, or ctx is done. Ctrl-C
// cancels the reply in progress or the line being edited. The history is stored in the
// file at historyPath, if that is not empty.
func (c *Conversation) Interact(ctx context.Context, in, terminal *os.File, out *Output, historyPath string) (err error) {
	history, err := openHistory(historyPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, history.close()) }()
	// A Ctrl-C between two replies must not end the program.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt)
	defer signal.Stop(ignored)

	prompt := newPrompt(ctx, in, terminal, history)
	out.notef("Model: %s. /help lists the commands, Ctrl-C cancels a reply, Ctrl-D quits.", c.Request.GetModel())
	for {
		line, err := prompt.read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errInterrupted):
			out.notef("Ctrl-D quits.")
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

// converse sends a prompt and shows the outcome.
func (c *Conversation) converse(ctx context.Context, question string, out *Output) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	got, err := c.ask(ctx, question, out.text)
	out.endLine()
	switch {
	case ctx.Err() != nil:
		out.notef("[canceled]")
	case err != nil:
		out.notef("%v", withHint(err))
	default:
		out.summarize(got)
	}
}
