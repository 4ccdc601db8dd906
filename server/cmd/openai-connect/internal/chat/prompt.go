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
	keys    *keys
	history *history
	editor  *term.Terminal
}

func newPrompt(ctx context.Context, in, out *os.File, history *history) *prompt {
	p := &prompt{in: in, out: out, keys: newKeys(ctx, in), history: history}
	p.reset()
	return p
}

// reset forgets a line that was begun.
func (p *prompt) reset() {
	p.editor = term.NewTerminal(p, promptText)
	p.editor.History = p.history
}

// Read is called by the editor, for keys. The terminal's size is looked at each
// time, as not every system tells when it changes.
func (p *prompt) Read(buffer []byte) (int, error) {
	n, err := p.keys.Read(buffer)
	p.resize()
	return n, err
}

// Write is called by the editor.
func (p *prompt) Write(data []byte) (int, error) { return p.out.Write(data) }

func (p *prompt) resize() {
	if width, height, err := term.GetSize(int(p.out.Fd())); err == nil && width > 0 {
		_ = p.editor.SetSize(width, height) // Its error is the terminal's, which the next write meets too.
	}
}

// read returns a line, which may have ends of lines in it. The error is io.EOF
// at a Ctrl-D, errInterrupted at a Ctrl-C, and the context's when that is done.
// At any other time the terminal is as it was before: it has a Ctrl-C send a
// signal.
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
			_, _ = io.WriteString(p.out, "\r\n") // Past the line that was begun.
		}
		err = errors.Join(err, term.Restore(int(p.in.Fd()), before))
	}()
	line, err = p.editor.ReadLine()
	return unmark.Replace(line), err
}
