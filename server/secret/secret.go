// Package secret holds API keys in a type that does not reveal them when it is logged,
// printed or encoded.
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

// Secret is an API key or password. The zero value means that no secret is set.
//
// Printing, logging or encoding a Secret, or a value that contains one, never
// reveals its text. Only [Secret.Reveal] returns it.
type Secret struct {
	// text is a pointer because package fmt does not call the methods of a Secret in
	// an unexported field. It then prints the pointer's address, not the text.
	text *string
}

// redacted replaces a secret in output.
const redacted = "[redacted]"

// New returns a secret with the given text, which must be printable ASCII without
// spaces, as in an HTTP header. The error describes the problem without quoting
// the text.
func New(text string) (Secret, error) {
	if text == "" {
		return Secret{}, errors.New("must not be empty")
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n' || c == '\r':
			return Secret{}, errors.New("must be a single line")
		case c == ' ' || c == '\t':
			return Secret{}, errors.New("must not contain spaces or tabs")
		case c < ' ' || c == 0x7f:
			return Secret{}, errors.New("must not contain control characters")
		case c > '~':
			return Secret{}, errors.New("must not contain non-ASCII characters")
		}
	}
	return Secret{text: &text}, nil
}

// maxFileBytes is the maximum size of a key file. Servers do not accept headers with
// longer keys.
const maxFileBytes = 8 << 10

// ReadFile returns the secret in a file, without a trailing line break. The error
// describes the problem without quoting the file's content.
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
// returns false on Windows, whose file modes don't show this.
func IsWorldReadable(path string) bool {
	const worldReadable = 0o004
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&worldReadable != 0 && runtime.GOOS != "windows"
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the text of the secret.
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

// Format implements [fmt.Formatter]. It writes [Secret.String] for every verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, s.String()) }

// LogValue implements [slog.LogValuer]. It returns [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler], for encoders such as encoding/json. It
// returns [Secret.String].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
