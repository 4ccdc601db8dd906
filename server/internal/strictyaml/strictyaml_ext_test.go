package strictyaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
)

// read reads a document with fields of every type.
func read(doc *strictyaml.Document) string {
	var got []string
	add := func(value any, ok bool) {
		if ok {
			got = append(got, fmt.Sprint(value))
		}
	}
	for _, field := range doc.Root().Fields("text", "count", "list", "nested", "any", "bool") {
		switch field.Name {
		case "text":
			add(field.Text())
		case "count":
			add(field.Int(1, 10, "an integer from 1 to 10"))
		case "bool":
			add(field.Bool())
		case "list":
			items, _ := field.List()
			for _, item := range items {
				add(item.Text())
			}
		case "nested":
			for _, inner := range field.Fields("text") {
				add(inner.Text())
			}
		case "any":
			for _, entry := range field.Entries() {
				add(entry.Name, true)
			}
		}
	}
	return strings.Join(got, " ")
}

func TestDocument_ReturnsValues(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"an empty file":        {"", ""},
		"a comment":            {"# nothing\n", ""},
		"strings":              {"text: a b\nnested: {text: 'c'}\n", "a b c"},
		"one field":            {"text: a", "a"},
		"an integer":           {"count: 10", "10"},
		"a list":               {"list:\n- a\n- \"b\"\n", "a b"},
		"fields of any name":   {"any: {x: 1, 'y z': []}", "x y z"},
		"a boolean":            {"bool: true", "true"},
		"an explicit document": {"---\ntext: a\n...\n", "a"},
		"Windows line endings": {"text: a\r\ncount: 1\r\n", "a 1"},
	} {
		doc := strictyaml.Parse("file", []byte(row.text), 100)
		if got := read(doc); got != row.want || doc.Err() != nil {
			t.Errorf("%s: got %q, %v", name, got, doc.Err())
		}
	}
}

func TestDocument_ReportsEveryProblemWithItsLine(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text string
		want []string
	}{
		"a syntax error":           {"text: [", []string{"file:1: invalid YAML: "}},
		"a second document":        {"text: a\n---\ntext: b\n", []string{"file:3: second YAML document"}},
		"a list at the root":       {"- a\n", []string{"file:1: is a list: want a mapping"}},
		"an unknown field":         {"text: a\nother-thing: b\n", []string{`file:2: unknown field "other-thing": want one of text, count`}},
		"a misspelt field":         {"nested:\n  texts: b\n", []string{`file:2: nested: unknown field "texts": did you mean "text"?`}},
		"a duplicate field":        {"text: a\ntext: b\n", []string{"file:2: text: duplicate field, first on line 1"}},
		"a duplicate nested field": {"any: {a: 1, a: 2}\n", []string{"file:1: any.a: duplicate field"}},
		"a number as a name":       {"any: {1: a}\n", []string{"file:1: any: the name of a field is an integer: want a string"}},
		"an integer for a string":  {"text: 5", []string{"file:1: text: is an integer: want a string in quotes"}},
		"a boolean for a string":   {"text: true", []string{"file:1: text: is a boolean: want a string in quotes"}},
		"a list for a string":      {"text: []", []string{"file:1: text: is a list: want a string"}},
		"nothing for a string":     {"text:\n", []string{"file:1: text: is empty: want a string"}},
		"several lines":            {"text: |\n  a\n", []string{"file:1: text: is a string of several lines"}},
		"a control character":      {`text: "a\nb"`, []string{"file:1: text: contains a control character"}},
		"a string for an integer":  {"count: many", []string{"file:1: count: is a string: want an integer from 1 to 10"}},
		"a fraction":               {"count: 1.5", []string{"file:1: count: is a floating-point number"}},
		"an integer too small":     {"count: 0", []string{"file:1: count: 0 is out of range: want an integer from 1 to 10"}},
		"a negative integer":       {"count: -1", []string{"file:1: count: -1 is out of range"}},
		"an integer too large":     {"count: 18446744073709551615", []string{"file:1: count: 18446744073709551615 is out of range"}},
		"a string for a boolean":   {"bool: 'true'", []string{"file:1: bool: is a string: want true or false"}},
		"a string for a list":      {"list: a", []string{"file:1: list: is a string: want a list"}},
		"a number in a list":       {"list:\n  - a\n  - 1\n", []string{"file:3: list: is an integer"}},
		"a mapping without fields": {"nested: {}", []string{"file:1: nested: is empty: remove it or add fields"}},
		"an anchor":                {"text: &a b", []string{"file:1: text: is an anchor or an alias"}},
		"an alias":                 {"text: *a", []string{"file:1: text: is an anchor or an alias"}},
		"a merge key":              {"<<: {text: a}", []string{"file:1: the name of a field is an anchor or an alias"}},
		"a tag":                    {"text: !!str b", []string{"file:1: text: is a tag"}},
		"many problems":            {"count: 0\nother: 1\ntext: []\n", []string{"file:1: count", "file:2: unknown", "file:3: text"}},
		"too many values":          {strings.Repeat("- a\n", 100), []string{"file:51: the file has more than 100 keys and values"}},
	} {
		doc := strictyaml.Parse("file", []byte(row.text), 100)
		read(doc)
		problems, _ := errors.AsType[strictyaml.Errors](doc.Err())
		if len(problems) != len(row.want) {
			t.Errorf("%s: got %v, want %q", name, doc.Err(), row.want)
			continue
		}
		for i, want := range row.want {
			if got := problems[i].Error(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"models", "paths", "requests_per_minute"}
	for text, want := range map[string]string{"model": "models", "path": "paths", "request_per_minutes": "requests_per_minute", "limits": "", "": ""} {
		if got := strictyaml.Nearest(text, names); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzDocument_NeverPanics also checks that every problem has a line of the file.
func FuzzDocument_NeverPanics(f *testing.F) {
	for _, seed := range []string{
		"text: a\ncount: 1\nlist: [a, 'b']\nnested: {text: c}\nany: {x: 1}\nbool: false\n", "a: [", "&a text: *a", "<<: {text: a}", "? text\n: a", "- - a",
		"---\ntext: a\n---\n", "text: !!str a", "text: |\n  a\n", "{text: a, text: b}", "1: a", "text:\n\t- a", "{clients:\r\r[]}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			return
		}
		doc := strictyaml.Parse("file", []byte(text), 10_000)
		read(doc)
		problems, _ := errors.AsType[strictyaml.Errors](doc.Err())
		for _, problem := range problems {
			if problem.Line < 1 || problem.Text == "" || strings.Contains(problem.Text, "\n") {
				t.Errorf("got %+v", problem)
			}
		}
	})
}
