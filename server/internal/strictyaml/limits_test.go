package strictyaml

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const maxTokens = 10_000

func TestLimits_AcceptConfigurationFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		"# comment\n",
		"a: 1\n",
		"clients:\n- name: a\n  limits: {models: {gpt*: {requests_per_minute: 5}}}\n",
		"clients:\n  - name: a\n    models: [a, b, [c]]\n" + strings.Repeat("  - name: b\n    models:\n      - c\n", 1000),
		"a: &anchor b\n",
		"---\na: 1\n---\nb: 1\n",
		"a: |\n  [[[[\n  - - -\n",
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		strings.Repeat("[]\n", 100),
		"a: 'it''s'\n\"b\": \"\\\"\"\n",
		"a: [",
		"\t: :",
	} {
		if err := checkLimits([]byte(text), maxTokens); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// indented returns lines of increasing indentation.
func indented(levels int, line string) string {
	var text strings.Builder
	for i := range levels {
		fmt.Fprintf(&text, "%s%s\n", strings.Repeat(" ", i), line)
	}
	return text.String()
}

func TestLimits_RejectExpensiveFiles(t *testing.T) { // not parallel, as it measures allocations
	const many = 10_000
	for name, text := range map[string]string{
		"brackets":                strings.Repeat("[", many) + strings.Repeat("]", many),
		"unclosed brackets":       strings.Repeat("[", many),
		"many brackets":           strings.Repeat("[", 16<<20),
		"braces":                  strings.Repeat("{a: ", many),
		"both":                    strings.Repeat("[{a: ", many),
		"brackets below a key":    "clients:\n  - name: " + strings.Repeat("[", many),
		"brackets after an error": "c: @\n" + strings.Repeat("[", many),
		"dashes":                  strings.Repeat("- ", many),
		"question marks":          strings.Repeat("? ", many),
		"indentation of keys":     indented(200, "a:"),
		"indentation of dashes":   indented(200, "-"),
		"one level too many":      strings.Repeat("[", MaxDepth+1),
		"many values":             "a:\n" + strings.Repeat("  - b\n", many),
		"many values in brackets": "[" + strings.Repeat("a,", many) + "]",
		"many comments":           strings.Repeat("#\n", many+1),
		"many anchors":            strings.Repeat("&a ", many),
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			err := checkLimits([]byte(text), maxTokens)
			if err == nil || err.Line < 1 {
				t.Errorf("got %v", err)
			}
			if took := allocated() - before; took > 64<<20 {
				t.Errorf("allocated %d MB", took>>20)
			}
		})
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func FuzzLimits_BoundTheParsersTree(f *testing.F) {
	for _, seed := range []string{
		"a:\n  - b: [c, {d: e}]\n", "- - - a", "? a\n: b", "a: |\n  b\n", "&a b: *a", "--- a\n...\n", "!t {? a : b}", "\"a\": 'b' # c", "a:\n- b\n-\n  - c",
	} {
		f.Add(seed)
		f.Add(strings.Repeat(seed, 50))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 || checkLimits([]byte(text), maxTokens) != nil {
			return
		}
		file, err := parser.ParseBytes([]byte(text), 0)
		if err != nil {
			return
		}
		for _, document := range file.Docs {
			if deep := depthOf(document.Body); deep > 4*MaxDepth {
				t.Errorf("the tree is %d deep", deep)
			}
		}
	})
}

type deepest struct{ depth, most *int }

// Visit implements [ast.Visitor].
func (d deepest) Visit(ast.Node) ast.Visitor {
	deeper := *d.depth + 1
	*d.most = max(*d.most, deeper)
	return deepest{&deeper, d.most}
}

func depthOf(node ast.Node) int {
	if node == nil {
		return 0
	}
	var depth, most int
	ast.Walk(deepest{&depth, &most}, node)
	return most
}
