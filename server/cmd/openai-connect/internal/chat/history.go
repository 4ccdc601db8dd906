package chat

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// remembered is how many lines the history has at most.
const remembered = 1000

// history is the lines that were entered, the newest last. It is what the line
// editor's arrow keys go through.
type history struct {
	lines []string
	file  *os.File // where lines are added too; nil for none
	err   error    // of the last write
}

// openHistory reads the lines that a file has, one a line, and adds further ones
// to it. Without a path there is no file. A file that there isn't is made, for
// its owner alone to read.
func openHistory(path string) (*history, error) {
	h := new(history)
	if path == "" {
		return h, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the history: %w", err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		h.remember(lines.Text())
	}
	const ownerOnly = 0o600
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, ownerOnly)
	if err != nil {
		return nil, fmt.Errorf("keep the history: %w", err)
	}
	return h, nil
}

func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	if err := errors.Join(h.err, h.file.Close()); err != nil {
		return fmt.Errorf("keep the history: %w", err)
	}
	return nil
}

// Add is called by the line editor.
func (h *history) Add(line string) {
	if h.remember(line) && h.file != nil {
		_, h.err = h.file.WriteString(line + "\n")
	}
}

// remember reports whether the line was worth it.
func (h *history) remember(line string) bool {
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	if len(h.lines) == remembered {
		h.lines = slices.Delete(h.lines, 0, 1)
	}
	h.lines = append(h.lines, line)
	return true
}

// Len is called by the line editor.
func (h *history) Len() int { return len(h.lines) }

// At is called by the line editor, for which the newest line is the first.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
