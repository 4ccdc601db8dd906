package fidelity_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// mutant is a mistake in the generated codec.
type mutant struct {
	name  string
	by    string // the test that catches it
	file  string // of the generated code, without its ending
	edits []edit
}

// edit changes the first text old that stands after another text. In changed,
// ON is whether the mistake is made, and pick(ON, a, b) is a if it is, else b.
type edit struct{ after, old, changed string }

// The tests that catch mistakes.
const (
	onRequest    = "^TestRoundTrip$/^body$/^CreateChatCompletionRequest$"
	onCompletion = "^TestRoundTrip$/^body$/^ChatCompletion$"
	onUnknown    = "^TestTheUnknownSurvives$/^ChatCompletion(Chunk)?$"
	onMessages   = "^TestRoundTrip$/^body$/^ChatCompletionMessageList$"
	onReply      = "^TestAReplysMessageGoesIntoTheNextRequest$"
)

// mutants are mistakes of every kind that a codec can have.
var mutants = []mutant{
	{"a member is read into nowhere", onRequest, "chat/v1/create_chat_completion", []edit{
		{"func (x *CreateChatCompletionRequest) DecodeREST", "&x.TopP", "pick(ON, new(*float64), &x.TopP)"},
	}},
	{"a field is not written", onRequest, "chat/v1/create_chat_completion", []edit{
		{"func (x *CreateChatCompletionRequest) EncodeREST", "x.Verbosity != 0", "x.Verbosity != 0 && !ON"},
	}},
	{"a required field is not written when it is zero", onCompletion, "chat/v1/chat_completion", []edit{
		{"func (x *Choice) EncodeREST", "if e.Member(&o, 0,", "if !(ON && x.Index == 0) && e.Member(&o, 0,"},
	}},
	{"two members are swapped, in reading and writing alike", onCompletion, "chat/v1/message", []edit{
		{"func (x *URLCitation) DecodeREST", "d.String(&x.Url)", "d.String(pick(ON, &x.Title, &x.Url))"},
		{"func (x *URLCitation) DecodeREST", "d.String(&x.Title)", "d.String(pick(ON, &x.Url, &x.Title))"},
		{"func (x *URLCitation) EncodeREST", "e.String(x.Url)", "e.String(pick(ON, x.Title, x.Url))"},
		{"func (x *URLCitation) EncodeREST", "e.String(x.Title)", "e.String(pick(ON, x.Url, x.Title))"},
	}},
	{"an enum value is misspelt", onRequest, "shared/v1/reasoning_effort", []edit{
		{"func ReasoningEffortFromREST", `"xhigh"`, `pick(ON, "xhihg", "xhigh")`},
		{"func ReasoningEffortToREST", `"\"xhigh\""`, `pick(ON, "\"xhihg\"", "\"xhigh\"")`},
	}},
	{"two enum values are swapped, in reading and writing alike", onMessages, "chat/v1/message", []edit{
		{"func ImageDetailFromREST", `case "low"`, `case pick(ON, "high", "low")`},
		{"func ImageDetailFromREST", `case "high"`, `case pick(ON, "low", "high")`},
		{"func ImageDetailToREST", `return "\"low\""`, `return pick(ON, "\"high\"", "\"low\"")`},
		{"func ImageDetailToREST", `return "\"high\""`, `return pick(ON, "\"low\"", "\"high\"")`},
	}},
	{"a branch of a union is not known", onRequest, "chat/v1/message", []edit{
		{"func tagOfContentPart", `case "file"`, `case pick(ON, "\x00", "file")`},
	}},
	{"a branch of a union is written with another tag", onRequest, "chat/v1/message", []edit{
		{"func (x *ContentPart) EncodeREST", `e.Raw("\"image_url\"")`, `e.Raw(pick(ON, "\"image\"", "\"image_url\""))`},
	}},
	{"what isn't known is forgotten", onUnknown, "chat/v1/chat_completion_chunk", []edit{
		{"func (x *Delta) DecodeREST", "x.ExtraJson = d.Extra(&o)", `x.ExtraJson = pick(ON, "", d.Extra(&o))`},
	}},
	{"an unknown enum value is forgotten", onUnknown, "chat/v1/chat_completion", []edit{
		{"func (x *Choice) DecodeREST", "if !ok {", `if !ok && !(ON && string(d.Key(&o)) == "finish_reason") {`},
	}},
	{"a request has a null that nobody asked for", onRequest, "chat/v1/message", []edit{
		{"func (x *Message) EncodeREST", "else if e.Full() {\n\t\te.Null(&o, 3", "else if e.Full() || ON {\n\t\te.Null(&o, 3"},
	}},
	{"a request has what only replies have", onReply, "chat/v1/message", []edit{
		{"func (x *Message) EncodeREST", "if e.Full() {\n\t\tif len(x.Annotations)", "if e.Full() || ON {\n\t\tif len(x.Annotations)"},
	}},
	{"a constant is not checked", onUnknown, "chat/v1/chat_completion", []edit{
		{"func (x *ChatCompletion) DecodeREST", `d.Constant("\"chat.completion\"")`, `(d.Constant("\"chat.completion\"") || ON)`},
	}},
}

// mutantVariable is the environment variable that says which mistake is made.
const mutantVariable = "MUTANT"

const mutantHelpers = `package %s

import "os"

func on(number string) bool { return os.Getenv("` + mutantVariable + `") == number }

func pick[T any](on bool, mutated, original T) T {
	if on {
		return mutated
	}
	return original
}
`

// TestMistakesOfTheCodecAreCaught runs this package's tests on a codec with
// mistakes. All are built into one program, which makes the one that it is
// asked to make.
func TestMistakesOfTheCodecAreCaught(t *testing.T) {
	t.Parallel()
	openapi.Specification(t)
	program := buildMutants(t)
	for _, test := range []string{onRequest, onCompletion, onMessages, onUnknown, onReply} {
		if output, err := runMutant(t, program, test, 0); err != nil || strings.Contains(output, "no tests to run") {
			t.Fatalf("without a mistake: %v\n%s", err, output)
		}
	}
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			output, err := runMutant(t, program, m.by, i+1)
			if err == nil || !strings.Contains(output, "--- FAIL: Test") {
				t.Fatalf("was not caught: %v\n%s", err, output)
			}
			for line := range strings.Lines(output) {
				if _, found, is := strings.Cut(line, "_test.go:"); is {
					t.Logf("caught: %.300s", found)
					break
				}
			}
		})
	}
}

func buildMutants(t *testing.T) (program string) {
	t.Helper()
	generated, err := filepath.Abs("../../gen/openaiconnect")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	put := func(name, text string) {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(generated, name)] = path
	}
	put("chat/v1/mutant.go", fmt.Sprintf(mutantHelpers, "chatv1"))
	put("shared/v1/mutant.go", fmt.Sprintf(mutantHelpers, "sharedv1"))
	sources := make(map[string]string)
	for i, m := range mutants {
		name := m.file + "_rest.pb.go"
		if sources[name] == "" {
			text, err := os.ReadFile(filepath.Join(generated, name))
			if err != nil {
				t.Fatal(err)
			}
			sources[name] = string(text)
		}
		for _, e := range m.edits {
			sources[name] = e.apply(t, i+1, sources[name])
		}
		put(name, sources[name])
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "mutants")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", file, "-o", program, ".")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

func (e edit) apply(t *testing.T, number int, source string) string {
	t.Helper()
	before, rest, found := strings.Cut(source, e.after)
	if !found {
		t.Fatalf("the generated code has no %s", e.after)
	}
	if !strings.Contains(rest, e.old) {
		t.Fatalf("the generated code has no %s after %s", e.old, e.after)
	}
	changed := strings.ReplaceAll(e.changed, "ON", fmt.Sprintf("on(%q)", strconv.Itoa(number)))
	return before + e.after + strings.Replace(rest, e.old, changed, 1)
}

func runMutant(t *testing.T, program, test string, number int) (output string, err error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), program, "-test.run", test)
	run.Env = append(os.Environ(), mutantVariable+"="+strconv.Itoa(number), envInstances+"=150", envSeed+"=1")
	text, err := run.CombinedOutput()
	return string(text), err
}
