// Package secret holds API keys so that they cannot leak by accident.
package secret

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

// Secret is an API key. The zero value is the absence of one.
//
// Printing, logging or encoding a Secret, or a value that contains one, never
// shows its text.
type Secret struct {
	// text is a pointer because package fmt calls no methods on unexported
	// fields. It prints the address of a pointer instead.
	text *string
}

// redacted replaces a secret in output.
const redacted = "[redacted]"

// New returns a secret with the given text, which must be printable ASCII without
// spaces, as in an HTTP header. The error describes the problem without quoting
// the text.
func New(text string) (Secret, error) {
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

// maxFileBytes limits the size of a file. Longer keys do not fit into the headers
// that servers accept.
const maxFileBytes = 8 << 10

// ReadFile returns the secret that a file contains, with or without a line ending.
// The error describes the problem without quoting the file.
func ReadFile(path string) (Secret, error) {
	text, err := readfile.Read(path, maxFileBytes, readfile.Timeout)
	if err != nil {
		return Secret{}, err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	s, err := New(line)
	if err != nil {
		return Secret{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// IsWorldReadable reports whether every user of the machine can read a file. It
// returns false on systems whose file modes don't say.
func IsWorldReadable(path string) bool {
	const worldReadable = 0o004
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&worldReadable != 0 && runtime.GOOS != "windows"
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the text. No other method does.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns "[redacted]", or an empty string for the zero value.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns the same as [Secret.String].
func (s Secret) GoString() string { return s.String() }

// Format writes [Secret.String] for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// LogValue returns [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns [Secret.String]. Encoders such as encoding/json use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
