package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// specVariable is the environment variable with the path of OpenAI's specification of the
// Chat operations. The specification is not part of this repository.
const specVariable = "OPENAI_CHAT_SPEC"

// A spec is OpenAI's specification.
type spec struct{ schemas *object }

func readSpec(t *testing.T) spec {
	t.Helper()
	path := os.Getenv(specVariable)
	if path == "" {
		t.Skipf("SKIPPED: set %s to the path of OpenAI's Chat specification to test against it",
			specVariable)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return spec{schemaOf(t, string(text)).object("components").object("schemas")}
}

// resolve follows references and merges the schemas of allOf.
func (s spec) resolve(schema *object) *object {
	for schema.has("$ref") {
		name := strings.TrimPrefix(schema.str("$ref"), "#/components/schemas/")
		target := s.schemas.object(name)
		if target == nil {
			panic("the specification has no schema " + name)
		}
		schema = merge(copyWithout(schema, "$ref"), target)
	}
	if branches := schema.list("allOf"); branches != nil {
		schema = copyWithout(schema, "allOf")
		for _, each := range branches {
			schema = merge(schema, s.resolve(each.(*object)))
		}
	}
	return schema
}

func alternatives(schema *object) []any { return append(schema.list("anyOf"), schema.list("oneOf")...) }

// TestSpecification_AcceptsEveryRequest validates requests that together contain each
// property, enum value and alternative.
func TestSpecification_AcceptsEveryRequest(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	validator := completionValidator()
	requests := s.variants(s.schemas.object("CreateChatCompletionRequest"))
	for _, each := range requests {
		text := encode(each)
		value, err := parse(text)
		if err == nil {
			err = validator.validate(strictness{}, "", value)
		}
		if err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	if len(requests) < 300 {
		t.Errorf("only %d requests were generated", len(requests))
	}
}

// variants returns values that together cover a schema.
func (s spec) variants(schema *object) []any {
	schema = s.resolve(schema)
	var result []any
	if schema.boolean("nullable") {
		result = append(result, nil)
	}
	if values := schema.list("enum"); values != nil {
		return append(values, result...)
	}
	if branches := alternatives(schema); branches != nil {
		var all []any
		for _, each := range branches {
			all = append(all, s.variants(each.(*object))...)
		}
		return append(all, result...)
	}
	switch schema.str("type") {
	case "string":
		return append([]any{"text"}, result...)
	case "integer", "number":
		return append([]any{1}, result...)
	case "boolean":
		return append([]any{true, false}, result...)
	case "null":
		return []any{nil}
	case "array":
		var lists []any
		for _, each := range s.variants(schema.object("items")) {
			lists = append(lists, []any{each})
		}
		return append(lists, result...)
	default:
		return append(s.objects(schema), result...)
	}
}

func (s spec) objects(schema *object) []any {
	minimal := newObject()
	for _, name := range schema.list("required") {
		minimal.set(name.(string), s.variants(schema.object("properties").object(name.(string)))[0])
	}
	result := []any{minimal}
	if properties := schema.object("properties"); properties != nil {
		for _, name := range properties.names {
			for _, each := range s.variants(properties.object(name)) {
				extended := copyWithout(minimal)
				extended.set(name, each)
				result = append(result, extended)
			}
		}
	}
	if inner := schema.object("additionalProperties"); inner != nil {
		for _, each := range s.variants(inner) {
			extended := copyWithout(minimal)
			extended.set("member", each)
			result = append(result, extended)
		}
	}
	return result
}

// outsideSpec returns the fields that are missing in the specification, by path. OpenAI
// sends them, and so does the sandbox.
func outsideSpec() map[string]string {
	return map[string]string{
		"choices[].delta.audio":               "streamed audio",
		"choices[].delta.annotations":         "streamed annotations",
		"choices[].delta.tool_calls[].custom": "streamed custom calls",
		"choices[].delta.tool_calls[].type":   "streamed custom calls, whose type is not function",
		"data[].role":                         "stored messages have the fields and roles of the request",
		"data[].name":                         "stored messages have the fields of the request",
		"data[].tool_call_id":                 "stored messages have the fields of the request",
	}
}

// TestSpecification_MatchesEveryResponse also rejects fields that are missing in the
// specification.
func TestSpecification_MatchesEveryResponse(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	handler := New(WithClock(func() time.Time { return time.Unix(1_750_000_000, 0) }))
	call := func(method, path, body string, headers ...string) string {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Body.String()
	}
	seen := map[string]bool{}
	checkConforms := func(what, schema, text string) {
		t.Helper()
		value := schemaOf(t, text)
		if err := s.conforms("", s.schemas.object(schema), value, seen); err != nil {
			t.Errorf("%s: %v: %s", what, err, text)
		}
	}
	const user = `{"model":"m","messages":[{"role":"user","content":"violence"}]`
	for what, fields := range map[string]string{
		"text":          ``,
		"everything":    `,"n":2,"logprobs":true,"top_logprobs":2,"service_tier":"flex","metadata":{"a":"b"},"web_search_options":{},"prediction":{"type":"content","content":"x"}`,
		"tools":         `,"tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}}]`,
		"function":      `,"functions":[{"name":"f"}]`,
		"audio":         `,"modalities":["audio"],"audio":{"voice":"a","format":"pcm16"}`,
		"moderation":    `,"moderation":{"model":"omni-moderation-latest","policy":{"output":{"mode":"block"}}}`,
		"unknown model": `,"moderation":{"model":"other"}`,
		"length":        `,"max_tokens":1`,
		"stored, once":  `,"store":true`,
	} {
		for _, headers := range [][]string{nil, {controlAnswer, string(answerRefusal)}, {controlAnswer, string(answerContentFilter)}} {
			checkConforms(what, "CreateChatCompletionResponse", call(http.MethodPost, "/v1/chat/completions", user+fields+`}`, headers...))
			stream := call(http.MethodPost, "/v1/chat/completions",
				user+fields+`,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":true}}`, headers...)
			for event := range strings.SplitSeq(strings.TrimSpace(stream), "\n\n") {
				if data := strings.TrimPrefix(event, "data: "); data != doneMarker {
					checkConforms(what+", streamed", "CreateChatCompletionStreamResponse", data)
				}
			}
		}
	}
	stored := call(http.MethodPost, "/v1/chat/completions", `{"model":"m","store":true,"messages":[
		{"role":"system","content":"Be kind."},{"role":"user","content":[{"type":"text","text":"Hi"},
		{"type":"image_url","image_url":{"url":"data:,","detail":"low"}}]},
		{"role":"assistant","tool_calls":[{"id":"c","type":"custom","custom":{"name":"x","input":""}}]},
		{"role":"tool","tool_call_id":"c","content":"done"}]}`)
	path := "/v1/chat/completions/" + schemaOf(t, stored).str("id")
	checkConforms("a list", "ChatCompletionList", call(http.MethodGet, "/v1/chat/completions", ""))
	checkConforms("a stored completion", "CreateChatCompletionResponse", call(http.MethodGet, path, ""))
	checkConforms("an update", "CreateChatCompletionResponse", call(http.MethodPost, path, `{"metadata":{"a":"b"}}`))
	checkConforms("messages", "ChatCompletionMessageList", call(http.MethodGet, path+"/messages", ""))
	checkConforms("a deletion", "ChatCompletionDeleted", call(http.MethodDelete, path, ""))
	checkConforms("an empty list", "ChatCompletionList", call(http.MethodGet, "/v1/chat/completions?model=none", ""))
	checkConforms("an error", "ErrorResponse", call(http.MethodGet, path, ""))

	// The responses must cover the specification.
	for _, name := range []string{"CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"} {
		for _, path := range s.paths("", s.schemas.object(name)) {
			if !seen[path] {
				t.Errorf("no response has the path %s of %s", path, name)
			}
		}
	}
}

// conforms validates a value and records its paths.
func (s spec) conforms(path string, schema *object, value any, seen map[string]bool) error {
	seen[path] = true
	if _, outside := outsideSpec()[path]; outside {
		return nil
	}
	schema = s.resolve(schema)
	if value == nil && (schema.boolean("nullable") || schema.str("type") == "null") {
		return nil
	}
	if branches := alternatives(schema); branches != nil {
		var first error
		for _, each := range branches {
			tried := maps.Clone(seen)
			err := s.conforms(path, each.(*object), value, tried)
			if err == nil {
				maps.Copy(seen, tried)
				return nil
			}
			if first == nil || !strings.Contains(err.Error(), "enum") {
				first = err
			}
		}
		return first
	}
	if kind := schema.str("type"); kind != "" && !isOfType(value, kind) {
		return fmt.Errorf("%s is %s, not %s", path, typeName(value), kind)
	}
	if values := schema.list("enum"); values != nil && !slices.Contains(values, value) {
		return fmt.Errorf("%s is %v, which is missing in the enum", path, value)
	}
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			if err := s.conforms(path+"[]", schema.object("items"), each, seen); err != nil {
				return err
			}
		}
	case *object:
		return s.fieldsConform(path, schema, value, seen)
	}
	return nil
}

func (s spec) fieldsConform(path string, schema, value *object, seen map[string]bool) error {
	for _, name := range schema.list("required") {
		if !value.has(name.(string)) {
			return fmt.Errorf("%s lacks %s", path, name)
		}
	}
	for _, name := range value.names {
		at := joinPath(path, name)
		inner := schema.object("properties").object(name)
		if inner == nil {
			if inner = schema.object("additionalProperties"); inner != nil {
				at = joinPath(path, "*")
			}
		}
		if _, outside := outsideSpec()[at]; inner == nil && !outside {
			return fmt.Errorf("%s is missing in the specification", at)
		}
		if err := s.conforms(at, inner, value.get(name), seen); err != nil {
			return err
		}
	}
	return nil
}

// paths returns the paths of all fields of a schema.
func (s spec) paths(path string, schema *object) []string {
	schema = s.resolve(schema)
	result := []string{path}
	for _, each := range alternatives(schema) {
		result = append(result, s.paths(path, each.(*object))...)
	}
	if items := schema.object("items"); items != nil {
		result = append(result, s.paths(path+"[]", items)...)
	}
	if values := schema.object("additionalProperties"); values != nil {
		result = append(result, s.paths(joinPath(path, "*"), values)...)
	}
	if properties := schema.object("properties"); properties != nil {
		for _, name := range properties.names {
			result = append(result, s.paths(joinPath(path, name), properties.object(name))...)
		}
	}
	return result
}

// TestSandbox_ImportsOnlyStandardLibrary checks that the sandbox shares no code with the
// transcoder.
func TestSandbox_ImportsOnlyStandardLibrary(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	imported := regexp.MustCompile(`(?m)^\s*(?:import )?"([^"]+)"$`)
	checked := 0
	for _, file := range files {
		if strings.HasSuffix(file.Name(), "_test.go") || !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range imported.FindAllStringSubmatch(string(text), -1) {
			checked++
			if strings.Contains(match[1], ".") {
				t.Errorf("%s imports %s: want only packages of the standard library", file.Name(), match[1])
			}
		}
	}
	if checked == 0 {
		t.Error("no import was found")
	}
}
