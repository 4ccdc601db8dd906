package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/secret"
)

const key = "sk-the-key-of-the-upstream"

// newSecret returns a secret with the given text.
func newSecret(tb testing.TB, text string) secret.Secret {
	tb.Helper()
	s, err := secret.New(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestSecret_IsNeverPrinted(t *testing.T) {
	t.Parallel()
	type hidden struct{ s secret.Secret }
	type shown struct {
		S secret.Secret
		P *secret.Secret
		A any
		M map[string]secret.Secret
	}
	s := newSecret(t, key)
	for _, value := range []any{
		s, &s,
		hidden{s},
		&hidden{s},
		shown{s, &s, s, map[string]secret.Secret{"a": s}},
		[]secret.Secret{s},
		fmt.Errorf("a secret: %v", s),
	} {
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%10s", "%T", "%!"} {
			fmt.Fprintf(&text, verb+"\n", value)
		}
		fmt.Fprintln(&text, value)
		if encoded, err := json.Marshal(value); err == nil {
			text.Write(encoded)
		}
		if encoded, err := xml.Marshal(value); err == nil {
			text.Write(encoded)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("value", "value", value)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("value", slog.Any("value", value), slog.Group("group", "value", value))
		for _, form := range []string{key, fmt.Sprintf("%x", key), fmt.Sprintf("%X", key)} {
			if strings.Contains(text.String(), form) {
				t.Errorf("a %T shows it:\n%s", value, &text)
			}
		}
		func() {
			defer func() {
				if raised := fmt.Sprint(recover()); strings.Contains(raised, key) {
					t.Errorf("a panic with a %T shows it: %s", value, raised)
				}
			}()
			panic(value)
		}()
	}
}

func TestSecret_PrintsAsRedacted(t *testing.T) {
	t.Parallel()
	s := newSecret(t, key)
	for _, text := range []string{s.String(), s.GoString(), fmt.Sprintf("%+v", s), s.LogValue().String(), mustJSON(t, s)} {
		if strings.Trim(text, `"`) != "[redacted]" {
			t.Errorf("it is shown as %q", text)
		}
	}
	var none secret.Secret
	if text := fmt.Sprintf("%v", none); text != "" || !none.IsZero() || s.IsZero() {
		t.Errorf("none is %q", text)
	}
}

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, says string }{
		"a line":                      {key + "\n", ""},
		"a line without an end":       {key, ""},
		"a line as Windows ends it":   {key + "\r\n", ""},
		"nothing":                     {"", "must not be empty"},
		"an empty line":               {"\n", "must not be empty"},
		"two lines":                   {key + "\nmore\n", "must be a single line"},
		"an empty line more":          {key + "\n\n", "must be a single line"},
		"a line before it":            {"\n" + key, "must be a single line"},
		"a space behind it":           {key + " \n", "space"},
		"a tab before it":             {"\t" + key, "spaces or tabs"},
		"an assignment with a space":  {"KEY = " + key, "space"},
		"a NUL":                       {key + "\x00", "control character"},
		"an escape":                   {"\x1b[31m" + key, "control character"},
		"a byte order mark":           {"\ufeff" + key, "non-ASCII"},
		"a typographic dash":          {"sk–" + key, "non-ASCII"},
		"a carriage return in middle": {key + "\rAuthorization: x", "must be a single line"},
		"as much as nobody needs":     {strings.Repeat(key, 1000), "longer than 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := secret.ReadFile(path)
			switch {
			case row.says == "" && (err != nil || got.IsZero()):
				t.Errorf("got %v, %v", got, err)
			case row.says != "" && (err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), path)):
				t.Errorf("the error is %v", err)
			case err != nil && (strings.Contains(err.Error(), "sk") || !got.IsZero()):
				t.Errorf("the error shows what is in the file: %v", err)
			}
		})
	}
	for name, path := range map[string]string{"no file": filepath.Join(t.TempDir(), "missing"), "a folder": t.TempDir()} {
		if _, err := secret.ReadFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s gives the error %v", name, err)
		}
	}
}

// Of what a file holds nothing is in an error, whatever it is.
func FuzzNew(f *testing.F) {
	for _, seed := range []string{key, "", "a b", "a\nb", "ä", "\x00", "\x7f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := secret.New(text)
		if (err == nil) == s.IsZero() {
			t.Fatalf("got %v, %v", s, err)
		}
		valid := text != "" && !bytes.ContainsFunc([]byte(text), func(r rune) bool { return r <= ' ' || r > '~' })
		if valid != (err == nil) {
			t.Errorf("got %v for %q", err, text)
		}
	})
}
