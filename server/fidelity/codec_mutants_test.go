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

// mutant is a defect in the generated codec.
type mutant struct {
	name  string
	by    string // the test that detects it
	file  string // generated file without its extension
	edits []edit
}

// edit replaces the first old after the string after with changed. In changed, ON
// reports whether the defect is active, and pick(ON, a, b) is a if so and else b.
type edit struct{ after, old, changed string }

// Tests that detect defects.
const (
	onRequest    = "^TestRoundTrip$/^body$/^CreateChatCompletionRequest$"
	onCompletion = "^TestRoundTrip$/^body$/^ChatCompletion$"
	onUnknown    = "^TestUnknown_Survives$/^ChatCompletion(Chunk)?$"
	onMessages   = "^TestRoundTrip$/^body$/^ChatCompletionMessageList$"
	onReply      = "^TestRoundTrip_ReplyMessageIsValidInRequest$"
)

// Defects of every kind that a codec can have.
var mutants = []mutant{
	{"a field is not decoded", onRequest, "chat/v1/create_chat_completion", []edit{
		{"func (x *CreateChatCompletionRequest) DecodeREST", "&x.TopP", "pick(ON, new(*float64), &x.TopP)"},
	}},
	{"a field is not encoded", onRequest, "chat/v1/create_chat_completion", []edit{
		{"func (x *CreateChatCompletionRequest) EncodeREST", "x.Verbosity != 0", "x.Verbosity != 0 && !ON"},
	}},
	{"a required field is not encoded when it is zero", onCompletion, "chat/v1/chat_completion", []edit{
		{"func (x *Choice) EncodeREST", "if e.Member(&o, 0,", "if !(ON && x.Index == 0) && e.Member(&o, 0,"},
	}},
	{"two fields are swapped in both directions", onCompletion, "chat/v1/message", []edit{
		{"func (x *URLCitation) DecodeREST", "d.String(&x.Url)", "d.String(pick(ON, &x.Title, &x.Url))"},
		{"func (x *URLCitation) DecodeREST", "d.String(&x.Title)", "d.String(pick(ON, &x.Url, &x.Title))"},
		{"func (x *URLCitation) EncodeREST", "e.String(x.Url)", "e.String(pick(ON, x.Title, x.Url))"},
		{"func (x *URLCitation) EncodeREST", "e.String(x.Title)", "e.String(pick(ON, x.Url, x.Title))"},
	}},
	{"an enum value is misspelled", onRequest, "shared/v1/reasoning_effort", []edit{
		{"func ReasoningEffortFromREST", `"xhigh"`, `pick(ON, "xhihg", "xhigh")`},
		{"func ReasoningEffortToREST", `"\"xhigh\""`, `pick(ON, "\"xhihg\"", "\"xhigh\"")`},
	}},
	{"two enum values are swapped in both directions", onMessages, "chat/v1/message", []edit{
		{"func ImageDetailFromREST", `case "low"`, `case pick(ON, "high", "low")`},
		{"func ImageDetailFromREST", `case "high"`, `case pick(ON, "low", "high")`},
		{"func ImageDetailToREST", `return "\"low\""`, `return pick(ON, "\"high\"", "\"low\"")`},
		{"func ImageDetailToREST", `return "\"high\""`, `return pick(ON, "\"low\"", "\"high\"")`},
	}},
	{"a branch of a union is unknown", onRequest, "chat/v1/message", []edit{
		{"func tagOfContentPart", `case "file"`, `case pick(ON, "\x00", "file")`},
	}},
	{"a branch of a union has the wrong tag", onRequest, "chat/v1/message", []edit{
		{"func (x *ContentPart) EncodeREST", `e.Raw("\"image_url\"")`, `e.Raw(pick(ON, "\"image\"", "\"image_url\""))`},
	}},
	{"unknown fields are dropped", onUnknown, "chat/v1/chat_completion_chunk", []edit{
		{"func (x *Delta) DecodeREST", "x.ExtraJson = d.Extra(&o)", `x.ExtraJson = pick(ON, "", d.Extra(&o))`},
	}},
	{"an unknown enum value is dropped", onUnknown, "chat/v1/chat_completion", []edit{
		{"func (x *Choice) DecodeREST", "if !ok {", `if !ok && !(ON && string(d.Key(&o)) == "finish_reason") {`},
	}},
	{"a request has an unrequested null", onRequest, "chat/v1/message", []edit{
		{"func (x *Message) EncodeREST", "else if e.Full() {\n\t\te.Null(&o, 3", "else if e.Full() || ON {\n\t\te.Null(&o, 3"},
	}},
	{"a request has output-only fields", onReply, "chat/v1/message", []edit{
		{"func (x *Message) EncodeREST", "if e.Full() {\n\t\tif len(x.Annotations)", "if e.Full() || ON {\n\t\tif len(x.Annotations)"},
	}},
	{"a constant is not checked", onUnknown, "chat/v1/chat_completion", []edit{
		{"func (x *ChatCompletion) DecodeREST", `d.Constant("\"chat.completion\"")`, `(d.Constant("\"chat.completion\"") || ON)`},
	}},
}

// mutantVariable is the environment variable that selects the defect.
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

// The test runs this package's tests with defective codecs. One binary contains all
// defects, and the environment selects one.
func TestMutants_AreDetected(t *testing.T) {
	t.Parallel()
	openapi.Specification(t)
	program := buildMutants(t)
	for _, test := range []string{onRequest, onCompletion, onMessages, onUnknown, onReply} {
		if output, err := runMutant(t, program, test, 0); err != nil || strings.Contains(output, "no tests to run") {
			t.Fatalf("without a defect: %v\n%s", err, output)
		}
	}
	for i, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			output, err := runMutant(t, program, m.by, i+1)
			if err == nil || !strings.Contains(output, "--- FAIL: Test") {
				t.Fatalf("defect was not detected: %v\n%s", err, output)
			}
			for line := range strings.Lines(output) {
				if _, found, is := strings.Cut(line, "_test.go:"); is {
					t.Logf("detected: %.300s", found)
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
		t.Fatalf("generated code lacks %s", e.after)
	}
	if !strings.Contains(rest, e.old) {
		t.Fatalf("generated code lacks %s after %s", e.old, e.after)
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
