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

// maxHistoryLines is the maximum length of the history.
const maxHistoryLines = 1000

// history implements [term.History]. It holds the entered lines, the newest last.
type history struct {
	lines []string
	file  *os.File // to append lines to; nil for none
	err   error    // of the last write
}

// openHistory returns a history that is stored in a file, one line each. It creates the
// file, readable by the owner only. An empty path disables the file.
func openHistory(path string) (*history, error) {
	h := new(history)
	if path == "" {
		return h, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("history: %w", err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		h.remember(lines.Text())
	}
	const ownerOnly = 0o600
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, ownerOnly)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return h, nil
}

func (h *history) close() error {
	if h.file == nil {
		return nil
	}
	if err := errors.Join(h.err, h.file.Close()); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// Add implements [term.History].
func (h *history) Add(line string) {
	if h.remember(line) && h.file != nil {
		_, h.err = h.file.WriteString(line + "\n")
	}
}

// remember adds a line, and reports whether it did. It skips blank and repeated lines.
func (h *history) remember(line string) bool {
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	if len(h.lines) == maxHistoryLines {
		h.lines = slices.Delete(h.lines, 0, 1)
	}
	h.lines = append(h.lines, line)
	return true
}

// Len implements [term.History].
func (h *history) Len() int { return len(h.lines) }

// At implements [term.History]. Index 0 is the newest line.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
