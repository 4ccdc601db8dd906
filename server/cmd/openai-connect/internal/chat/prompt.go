package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

const promptText = "> "

// prompt reads lines from a terminal, with editing and history.
type prompt struct {
	in      *os.File
	out     *os.File
	keys    *keyReader
	history *history
	editor  *term.Terminal
}

func newPrompt(ctx context.Context, in, out *os.File, history *history) *prompt {
	p := &prompt{in: in, out: out, keys: newKeyReader(ctx, in), history: history}
	p.reset()
	return p
}

// reset discards the line being edited.
func (p *prompt) reset() {
	p.editor = term.NewTerminal(p, promptText)
	p.editor.History = p.history
}

// Read is called by the editor. It updates the size of the terminal each time, as not
// every system signals changes.
func (p *prompt) Read(buffer []byte) (int, error) {
	n, err := p.keys.Read(buffer)
	p.resize()
	return n, err
}

// Write is called by the editor.
func (p *prompt) Write(data []byte) (int, error) { return p.out.Write(data) }

func (p *prompt) resize() {
	if width, height, err := term.GetSize(int(p.out.Fd())); err == nil && width > 0 {
		_ = p.editor.SetSize(width, height) // The next write returns the same error.
	}
}

// read returns a line, which may contain newlines. The error is io.EOF after Ctrl-D,
// errInterrupted after Ctrl-C, and the context's when that is done. The terminal is in
// raw mode only while read runs, so that Ctrl-C sends a signal otherwise.
func (p *prompt) read() (line string, err error) {
	before, err := term.MakeRaw(int(p.in.Fd()))
	if err != nil {
		return "", fmt.Errorf("edit lines: %w", err)
	}
	p.resize()
	p.editor.SetBracketedPasteMode(true)
	defer func() {
		p.editor.SetBracketedPasteMode(false)
		if err != nil {
			p.reset()
			_, _ = io.WriteString(p.out, "\r\n") // End the discarded line.
		}
		err = errors.Join(err, term.Restore(int(p.in.Fd()), before))
	}()
	line, err = p.editor.ReadLine()
	return unmark.Replace(line), err
}
