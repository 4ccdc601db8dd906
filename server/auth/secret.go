package auth

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
)

// Secret is a key or a token. The zero value is none.
//
// No way of printing, logging or encoding a Secret shows it, nor one of printing
// what holds it.
type Secret struct {
	// text is behind a pointer, as package fmt calls no method of a value in an
	// unexported field: it prints an address there.
	text *string
}

// redacted stands in for a secret.
const redacted = "[redacted]"

// NewSecret returns the secret that a text is: of printable ASCII without
// spaces, as it travels in a header. The error says what is wrong with the text,
// without a part of it.
func NewSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, errors.New("it is empty")
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n' || c == '\r':
			return Secret{}, errors.New("it has more than one line")
		case c == ' ' || c == '\t':
			return Secret{}, errors.New("it has a space or a tab")
		case c < ' ' || c == 0x7f:
			return Secret{}, errors.New("it has a control character")
		case c > '~':
			return Secret{}, errors.New("it has a character beyond ASCII")
		}
	}
	return Secret{text: &text}, nil
}

// maxFileBytes bounds the file of a secret: what is longer fits in no header
// that servers take.
const maxFileBytes = 8 << 10

// ReadSecret returns the secret that a file holds, with or without the end of a
// line behind it. The error says what is wrong with the file, and nothing of what
// is in it.
func ReadSecret(path string) (Secret, error) {
	text, err := readfile.Read(path, maxFileBytes, readfile.Patience)
	if err != nil {
		return Secret{}, err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	secret, err := NewSecret(line)
	if err != nil {
		return Secret{}, fmt.Errorf("read %s: %w", path, err)
	}
	return secret, nil
}

// IsOpenToAll reports whether every user of the machine can read a file, where a
// file's mode tells that.
func IsOpenToAll(path string) bool {
	const worldReadable = 0o004
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&worldReadable != 0 && runtime.GOOS != "windows"
}

// IsZero reports whether s is none.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the text, for where it is sent. It is the only way to it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "[redacted]", or nothing for none.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString is [Secret.String].
func (s Secret) GoString() string { return s.String() }

// Format writes [Secret.String], whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// LogValue is [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is [Secret.String], for every encoding that knows texts.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
