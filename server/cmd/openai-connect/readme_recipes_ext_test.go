package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// TestREADME_RecipesWorkAsPrinted runs what the README has for a shell
// about a server on the sandbox; only its address is another.
func TestREADME_RecipesWorkAsPrinted(t *testing.T) {
	t.Parallel()
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0")
	readme := project(t, "README.md")
	for _, row := range []struct {
		heading string
		blocks  int
		// What each command's output has.
		shows *regexp.Regexp
	}{
		{"## Quick start", 1, regexp.MustCompile(`"content":"This is the sandbox`)},
		{"### Typed", 2, regexp.MustCompile(`"model": ?"sandbox"`)},
		{"### Raw", 1, regexp.MustCompile(`(?s)"model":"sandbox".*\n\ndata: \[DONE\]\n`)},
		{"### From a terminal", 4, regexp.MustCompile(`^This is the sandbox|"model": ?"sandbox"|is a message:`)},
		{"### Nothing lost, nothing invented", 1, regexp.MustCompile(`"extra_json":"\{\\"top_k\\": ?40\}"`)},
	} {
		t.Run(row.heading, func(t *testing.T) {
			t.Parallel()
			_, section, found := strings.Cut(readme, "\n"+row.heading+"\n")
			end := regexp.MustCompile(`(?m)^##`).FindStringIndex(section)
			if !found || end == nil {
				t.Fatal("the section is missing")
			}
			blocks := recipesOf(section[:end[0]])
			if len(blocks) != row.blocks {
				t.Fatalf("got recipes %q", blocks)
			}
			for _, block := range blocks {
				for _, text := range commandsIn(block) {
					if output := p.runRecipe(t, text); !row.shows.MatchString(output) || strings.Contains(output, `"error"`) {
						t.Errorf("%s\nwrites %s", text, output)
					}
				}
			}
		})
	}
}

// recipesOf returns the blocks for a shell that go to the server.
func recipesOf(section string) []string {
	var recipes []string
	for _, match := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(section, -1) {
		if strings.Contains(match[1], "127.0.0.1:8080") || strings.Contains(match[1], "openai-connect chat") {
			recipes = append(recipes, match[1])
		}
	}
	return recipes
}

// commandsIn splits a block at the ends of lines that are neither continued nor
// within quotes.
func commandsIn(block string) []string {
	var commands []string
	text := ""
	for line := range strings.Lines(block) {
		text += line
		if !strings.HasSuffix(line, "\\\n") && strings.Count(text, "'")%2 == 0 {
			commands = append(commands, text)
			text = ""
		}
	}
	return commands
}

// runRecipe runs a command at the project's top, as a person would who has the
// tools and this command in PATH.
func (p *process) runRecipe(t *testing.T, text string) string {
	t.Helper()
	for tool, how := range map[string]string{
		"grpcurl": "`make tools` builds it", "buf": "`make tools` builds it", "curl": "install it", "go": "see https://go.dev/dl/",
	} {
		if strings.HasPrefix(text, tool+" ") {
			servertest.Tool(t, tool, how)
		}
	}
	path := commandtest.Program(t)
	// What a recipe writes to a file goes there.
	file := filepath.Join(t.TempDir(), "completion.json")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "127.0.0.1:8080", p.address), ">completion.json", ">"+file)
	command := exec.CommandContext(t.Context(), servertest.Tool(t, "sh", "the README is for it"), "-e", "-c", text)
	command.Dir = filepath.Join("..", "..", "..")
	command.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"OPENAI_CONNECT_SERVER="+p.url)
	var output, stderr bytes.Buffer
	command.Stdout, command.Stderr = &output, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s\n%v\n%s", text, err, &stderr)
	}
	if strings.Contains(text, file) {
		written, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		output.Write(written)
	}
	return output.String()
}
