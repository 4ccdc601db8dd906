package chat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// What the line editor has in place of characters that it can't have in a line.
const (
	lineMark = '↵'
	tabMark  = '⇥'
)

var unmark = strings.NewReplacer(string(lineMark), "\n", string(tabMark), "\t")

// errInterrupted is what reading ends with at a Ctrl-C.
var errInterrupted = errors.New("interrupted by Ctrl-C")

// What a terminal sends that is of interest here. The markers around a paste are
// those of xterm's bracketed paste mode.
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

// keys is what is typed, as the line editor can take it: the lines of a paste
// stay in one line, with marks for their ends and tabs, and so does an end of a
// line that Ctrl-J or Alt-Enter asks for. A Ctrl-C is errInterrupted. It asks its
// source for bytes only when it is read, so that what is typed at another time
// is whoever's that reads then.
type keys struct {
	ctx    context.Context
	source io.Reader

	ready   []byte // translated, with ctrlC as it was
	begun   []byte // an escape sequence whose end hasn't come
	pasting bool
	wasCR   bool // in a paste, where CR LF is one end of a line

	pending bool // whether a read of source is under way
	arrived chan arrival
}

type arrival struct {
	data []byte
	err  error
}

func newKeys(ctx context.Context, source io.Reader) *keys {
	return &keys{ctx: ctx, source: source, arrived: make(chan arrival, 1)}
}

// Read ends with the context's error when that is done. A read of the source goes
// on then, as no system can end one of a terminal.
func (k *keys) Read(p []byte) (int, error) {
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

func (k *keys) wait() ([]byte, error) {
	if !k.pending {
		k.pending = true
		go func() {
			buffer := make([]byte, 4096)
			n, err := k.source.Read(buffer)
			k.arrived <- arrival{buffer[:n], err}
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

func (k *keys) translate(data []byte) {
	for _, b := range data {
		if b == escape { // The start of a sequence is nowhere else in it.
			k.flush()
		}
		k.begun = append(k.begun, b)
		switch sequence := string(k.begun); {
		case sequence == pasteBegin, sequence == pasteEnd:
			k.pasting = sequence == pasteBegin
			k.wasCR = false
			k.ready = append(k.ready, sequence...)
			k.begun = k.begun[:0]
		case sequence == altEnter && !k.pasting:
			k.ready = append(k.ready, string(lineMark)...)
			k.begun = k.begun[:0]
		case !strings.HasPrefix(pasteBegin, sequence) && !strings.HasPrefix(pasteEnd, sequence):
			k.flush()
		}
	}
}

// flush takes what was begun for keys.
func (k *keys) flush() {
	for _, b := range k.begun {
		k.key(b)
	}
	k.begun = k.begun[:0]
}

// key translates a byte that is no part of a sequence of interest.
func (k *keys) key(b byte) {
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
		// A paste edits nothing.
	default:
		k.ready = append(k.ready, b)
	}
}
