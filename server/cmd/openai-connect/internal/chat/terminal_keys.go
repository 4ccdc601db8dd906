package chat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// Marks for the characters that the line editor cannot have in a line.
const (
	lineMark = '↵'
	tabMark  = '⇥'
)

var unmark = strings.NewReplacer(string(lineMark), "\n", string(tabMark), "\t")

// errInterrupted is the error of a read that Ctrl-C ended.
var errInterrupted = errors.New("interrupted by Ctrl-C")

// Input of a terminal. The markers of a paste are those of xterm's bracketed paste mode.
const (
	ctrlC      = 0x03
	tab        = '\t'
	ctrlJ      = '\n'
	enter      = '\r'
	escape     = 0x1b
	del        = 0x7f
	altEnter   = "\x1b\r"
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// keyReader translates input for the line editor. Newlines and tabs of a paste become
// marks, and so do Ctrl-J and Alt-Enter. Ctrl-C becomes errInterrupted. It reads from
// its source only during a Read.
type keyReader struct {
	ctx    context.Context
	source io.Reader

	ready   []byte // translated, with ctrlC unchanged
	partial []byte // an incomplete escape sequence
	pasting bool
	wasCR   bool // in a paste, where CR LF is one newline

	pending bool // a read of source is in progress
	arrived chan keyEvent
}

type keyEvent struct {
	data []byte
	err  error
}

func newKeyReader(ctx context.Context, source io.Reader) *keyReader {
	return &keyReader{ctx: ctx, source: source, arrived: make(chan keyEvent, 1)}
}

// Read returns the context's error when that is done. A read of the source then
// continues, as a read of a terminal cannot be canceled.
func (k *keyReader) Read(p []byte) (int, error) {
	for len(k.ready) == 0 {
		data, err := k.wait()
		k.translate(data)
		if err != nil && len(k.ready) == 0 {
			return 0, err
		}
	}
	if k.ready[0] == ctrlC {
		k.ready = k.ready[1:]
		return 0, errInterrupted
	}
	until := bytes.IndexByte(k.ready, ctrlC)
	if until < 0 {
		until = len(k.ready)
	}
	n := copy(p, k.ready[:until])
	k.ready = k.ready[n:]
	return n, nil
}

func (k *keyReader) wait() ([]byte, error) {
	if !k.pending {
		k.pending = true
		go func() {
			buffer := make([]byte, 4096)
			n, err := k.source.Read(buffer)
			k.arrived <- keyEvent{buffer[:n], err}
		}()
	}
	select {
	case a := <-k.arrived:
		k.pending = false
		return a.data, a.err
	case <-k.ctx.Done():
		return nil, k.ctx.Err()
	}
}

func (k *keyReader) translate(data []byte) {
	for _, b := range data {
		if b == escape { // It only occurs at the start of a sequence.
			k.flush()
		}
		k.partial = append(k.partial, b)
		switch sequence := string(k.partial); {
		case sequence == pasteBegin, sequence == pasteEnd:
			k.pasting = sequence == pasteBegin
			k.wasCR = false
			k.ready = append(k.ready, sequence...)
			k.partial = k.partial[:0]
		case sequence == altEnter && !k.pasting:
			k.ready = append(k.ready, string(lineMark)...)
			k.partial = k.partial[:0]
		case !strings.HasPrefix(pasteBegin, sequence) && !strings.HasPrefix(pasteEnd, sequence):
			k.flush()
		}
	}
}

// flush translates the incomplete sequence byte by byte.
func (k *keyReader) flush() {
	for _, b := range k.partial {
		k.key(b)
	}
	k.partial = k.partial[:0]
}

// key translates a byte outside of a known sequence.
func (k *keyReader) key(b byte) {
	afterCR := k.wasCR
	k.wasCR = false
	switch {
	case b == ctrlJ && afterCR:
	case b == ctrlJ, b == enter && k.pasting:
		k.ready = append(k.ready, string(lineMark)...)
		k.wasCR = k.pasting && b == enter
	case b == tab && k.pasting:
		k.ready = append(k.ready, string(tabMark)...)
	case k.pasting && (b < ' ' || b == del):
		// A paste must not edit.
	default:
		k.ready = append(k.ready, b)
	}
}
