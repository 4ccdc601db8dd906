package tasks_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tasks into the README")

// readme contains the tasks between two markers.
const (
	readme = "../README.md"
	begin  = "<!-- Start of the tasks: `go test ./client/tasks -update` writes them. -->\n"
	end    = "<!-- End of the tasks. -->\n"
)

func TestREADME_PrintsTestedTasks(t *testing.T) {
	printed, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasBegin := strings.Cut(string(printed), begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s lacks the markers of the tasks", readme)
	}
	want := before + begin + "\n" + table(t) + end + after
	if string(printed) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: run `go test ./client/tasks -update`", readme)
	}
	if err := os.WriteFile(readme, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTasks_AreNoLongerThanWithOpenAIsClient(t *testing.T) {
	ours, theirs := bodies(t, "connect"), bodies(t, "openai")
	for _, row := range results {
		if a, b := lines(ours[row.name]), lines(theirs[row.name]); a == 0 || a > b {
			t.Errorf("%s: got %d lines, want at most %d as with OpenAI's client", row.name, a, b)
		}
	}
}

// table returns the tasks as Markdown.
func table(t *testing.T) string {
	t.Helper()
	ours, theirs := bodies(t, "connect"), bodies(t, "openai")
	var out strings.Builder
	for _, row := range results {
		a, b := ours[row.name], theirs[row.name]
		fmt.Fprintf(&out, "### %s\n\n<table>\n<tr><th>this client: %d lines</th><th>openai-go: %d lines</th></tr>\n<tr>\n",
			row.name, lines(a), lines(b))
		for _, body := range []string{a, b} {
			fmt.Fprintf(&out, "<td valign=\"top\">\n\n```go\n%s```\n\n</td>\n", body)
		}
		out.WriteString("</tr>\n</table>\n\n")
	}
	return out.String()
}

// bodies returns the bodies of the functions in a file, by task.
func bodies(t *testing.T, by string) map[string]string {
	t.Helper()
	name := by + "_test.go"
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	functions := make(map[string]string)
	titles := make(map[string]string) // by function
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			body := source[files.Position(node.Body.Lbrace).Offset+1 : files.Position(node.Body.Rbrace).Offset]
			functions[node.Name.Name] = outdented(string(body))
		case *ast.KeyValueExpr:
			if title, ok := node.Key.(*ast.BasicLit); ok {
				if function, ok := node.Value.(*ast.Ident); ok {
					titles[function.Name] = strings.Trim(title.Value, `"`)
				}
			}
		}
		return true
	})
	result := make(map[string]string)
	for function, title := range titles {
		if body := functions[function]; body != "" {
			result[title] = body
		}
	}
	return result
}

// outdented removes one tab of indentation from each line and converts the rest to
// spaces, since a table column is narrow.
func outdented(body string) string {
	var out strings.Builder
	for line := range strings.Lines(strings.Trim(body, "\n") + "\n") {
		line = strings.TrimPrefix(line, "\t")
		code := strings.TrimLeft(line, "\t")
		out.WriteString(strings.Repeat("  ", len(line)-len(code)) + code)
	}
	return out.String()
}

func lines(body string) int { return strings.Count(body, "\n") }
