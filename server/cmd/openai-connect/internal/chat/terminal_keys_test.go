package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// typed reads all that a source types, with "^C" where an interruption was.
func typed(t *testing.T, source io.Reader) string {
	t.Helper()
	k := newKeyReader(t.Context(), source)
	var got strings.Builder
	buffer := make([]byte, 16)
	for {
		n, err := k.Read(buffer)
		got.Write(buffer[:n])
		switch {
		case errors.Is(err, errInterrupted):
			got.WriteString("^C")
		case errors.Is(err, io.EOF):
			return got.String()
		case err != nil:
			t.Fatal(err)
		}
	}
}

func TestKeyReader_TranslatesInput(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ typed, want string }{
		"text and enter":                  {"Hello, 世界\r", "Hello, 世界\r"},
		"arrows":                          {"\x1b[A\x1b[D\x1bOF", "\x1b[A\x1b[D\x1bOF"},
		"Ctrl-J":                          {"a\nb", "a↵b"},
		"Alt-Enter":                       {"a\x1b\rb", "a↵b"},
		"escape, twice":                   {"\x1b\x1b[A", "\x1b\x1b[A"},
		"Ctrl-C":                          {"ab\x03c", "ab^Cc"},
		"Ctrl-C, twice":                   {"\x03\x03", "^C^C"},
		"a tab":                           {"\t", "\t"},
		"a paste":                         {"\x1b[200~a\rb\r\n\r\nc\nd\te\x1b[201~\r", "\x1b[200~a↵b↵↵c↵d⇥e\x1b[201~\r"},
		"a paste of what isn't text":      {"\x1b[200~\x00\x03\x04\x7f\x1b[A\x1b\r\x1b[201~\x03", "\x1b[200~[A↵\x1b[201~^C"},
		"a paste between CR and LF":       {"\x1b[200~a\r\x1b[201~\n", "\x1b[200~a↵\x1b[201~↵"},
		"the end of a paste without one":  {"\x1b[201~\r", "\x1b[201~\r"},
		"the start of a marker":           {"\x1b[20x", "\x1b[20x"},
		"a marker behind a marker's part": {"\x1b[2\x1b[200~a\r\x1b[201~", "\x1b[2\x1b[200~a↵\x1b[201~"},
	} {
		for how, source := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
			"with the end": iotest.DataErrReader,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				if got := typed(t, source(strings.NewReader(row.typed))); got != row.want {
					t.Errorf("got %q", got)
				}
			})
		}
	}
}

func TestKeyReader_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	source, typing := io.Pipe()
	k := newKeyReader(ctx, source)
	cancel()
	if _, err := k.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := typing.Close(); err != nil { // ends the read that is under way
		t.Error(err)
	}
}

func TestReplaceControl_KeepsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"**Markdown**\n\tcode 世界 🙂": "**Markdown**\n\tcode 世界 🙂",
		"\x1b]52;c;eA==\a":          "\ufffd]52;c;eA==\ufffd",
		"\u009b2J":                  "\ufffd2J",
		"good\rbad":                 "good\ufffdbad",
		"a\u202eb\u2066c\u200fd":    "a\ufffdb\ufffdc\ufffdd",
		"\x7f\x00":                  "\ufffd\ufffd",
	} {
		if got := replaceControl(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// All that controls a terminal or the direction of text is replaced in text, and
// escaped in JSON, which stays the same JSON.
func TestReplaceControl_LeavesNoControl(t *testing.T) {
	t.Parallel()
	var controls []rune
	for r := range rune(0xa0) {
		if r < ' ' || r >= 0x7f {
			controls = append(controls, r)
		}
	}
	controls = append(controls, 0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069)
	for _, r := range controls {
		if got := replaceControl("a" + string(r) + "b"); r != '\n' && r != '\t' && got != "a\ufffdb" {
			t.Errorf("%U becomes %q", r, got)
		}
		if r < ' ' {
			continue // JSON has it escaped.
		}
		const before, after = "{\"世界\":\"a", "b\"}"
		got := escapeControlJSON(before + string(r) + after)
		if want := before + fmt.Sprintf(`\u%04x`, r) + after; got != want {
			t.Errorf("%U becomes %s", r, got)
		}
	}
	if got := escapeControlJSON("{\"a\":\r\n\t1}"); got != `{"a":   1}` {
		t.Errorf("white space becomes %q", got)
	}
}

// FuzzEscapeControlJSON looks for JSON that becomes other JSON, or stays harmful.
func FuzzEscapeControlJSON(f *testing.F) {
	f.Add("{\"a\u009b\": [1, \"\u202e\\\\\u0085\"]}")
	f.Fuzz(func(t *testing.T, text string) {
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil {
			return
		}
		got := escapeControlJSON(text)
		if err := json.Unmarshal([]byte(got), &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q becomes %q", text, got)
		}
		if strings.IndexFunc(got, isControl) >= 0 {
			t.Errorf("%q has a control", got)
		}
	})
}

func TestHistory_HasTheNewestFirst(t *testing.T) {
	t.Parallel()
	h, err := openHistory("")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"a", "b", "b", " ", "", "c"} {
		h.Add(line)
	}
	var got []string
	for i := range h.Len() {
		got = append(got, h.At(i))
	}
	if !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Errorf("got %q", got)
	}
	for range maxHistoryLines {
		h.Add("d")
		h.Add("e")
	}
	if h.Len() != maxHistoryLines || h.At(0) != "e" || h.At(maxHistoryLines-1) != "d" {
		t.Errorf("got %d lines, want maxHistoryLines", h.Len())
	}
}

// FuzzKeyReader looks for input that reaches the editor as an end of a line from
// within a paste, and so would send a question that nobody entered.
func FuzzKeyReader(f *testing.F) {
	f.Add("a\rb\r\nc\td")
	f.Add("\x1b[200~\x1b[20\r")
	f.Add("\x1b\r\n\x03\x1b[201")
	f.Fuzz(func(t *testing.T, pasted string) {
		if strings.Contains(pasted, pasteEnd) {
			return
		}
		all := []byte(pasteBegin + pasted + pasteEnd)
		k := newKeyReader(t.Context(), nil)
		k.translate(all)
		got := string(k.ready)
		text, ended := strings.CutSuffix(got, pasteEnd)
		text, begun := strings.CutPrefix(text, pasteBegin)
		if !begun || !ended || strings.ContainsAny(strings.ReplaceAll(text, pasteBegin, ""), "\r\n\x03\x1b") {
			t.Errorf("%q becomes %q", pasted, got)
		}
		pieces := newKeyReader(t.Context(), nil)
		for i := range all {
			pieces.translate(all[i : i+1])
		}
		if string(pieces.ready) != got {
			t.Errorf("byte by byte, %q becomes %q and not %q", pasted, pieces.ready, got)
		}
	})
}
