package fidelity_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// beyond are fields and enum values unknown to the specification, with reasons. The
// fields of a message that only such a field uses need no reason.
var beyond = map[protoreflect.FullName]string{
	"openaiconnect.chat.v1.Delta.audio":           "sent in streams of audio models",
	"openaiconnect.chat.v1.ToolCallDelta.custom":  "sent in streams with custom tool calls",
	"openaiconnect.chat.v1.TOOL_CALL_TYPE_CUSTOM": "sent in streams with custom tool calls",
}

// The test logs what it checked. A property counts once for each component that has
// it, at any depth.
func TestSpecification_IsCarriedCompletely(t *testing.T) {
	t.Parallel()
	d := openapi.Specification(t)
	c := cover(d)
	for _, problem := range c.problems {
		t.Error(problem)
	}
	properties := make(map[string]bool)
	var places, inline, branches, values, parameters int
	rules := make(map[string]int)
	openapi.Walk(func(s *openapi.Schema) {
		for _, p := range s.Properties {
			places++
			if s.Component() == "" {
				inline++
				continue
			}
			properties[s.Component()+"."+p.Name] = true
		}
		branches += len(s.Branches())
		values += len(s.Enum)
	}, d.Schemas()...)
	for _, op := range d.Operations {
		parameters += len(op.Parameters)
	}
	for _, carrier := range c.carriers {
		if strings.HasPrefix(carrier, "rule: ") {
			rules[carrier]++
		}
	}
	t.Logf("%d operations as %d RPCs, %d parameters", len(d.Operations), len(c.rpcs), parameters)
	t.Logf("%d (component, property) pairs of objects in %d locations, and %d of bodies that are not components", len(properties), places-inline, inline)
	t.Logf("%d union branches, %d enum values", branches, values)
	t.Logf("by rule: %v; the rest by fields", rules)
	if len(properties) == 0 || branches == 0 || values == 0 || parameters == 0 || len(c.uses) == 0 {
		t.Error("nothing was checked")
	}
}

// change is an edit of the specification.
type change struct {
	path string // in the document, with slashes
	name string // key to set, or "+" to append to an array
	json string // empty to remove the key
}

// changed returns the specification with edits.
func changed(t *testing.T, changes ...change) *openapi.Document {
	t.Helper()
	var root any
	if err := json.Unmarshal(openapi.Text(t), &root); err != nil {
		t.Fatal(err)
	}
	for _, edit := range changes {
		var value any
		if edit.json != "" {
			if err := json.Unmarshal([]byte(edit.json), &value); err != nil {
				t.Fatal(err)
			}
		}
		root = edit.apply(t, root, strings.Split(edit.path, "/"), value)
	}
	text, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (c change) apply(t *testing.T, at any, path []string, value any) any {
	t.Helper()
	switch at := at.(type) {
	case map[string]any:
		switch {
		case len(path) > 0 && at[unescape(path[0])] == nil:
			t.Fatalf("%s: no %s", c.path, path[0])
		case len(path) > 0:
			at[unescape(path[0])] = c.apply(t, at[unescape(path[0])], path[1:], value)
		case c.json == "":
			delete(at, c.name)
		default:
			at[c.name] = value
		}
		return at
	case []any:
		if len(path) == 0 && c.json == "" {
			return slices.DeleteFunc(at, func(v any) bool { return fmt.Sprint(v) == c.name })
		}
		if len(path) == 0 {
			return append(at, value)
		}
		for i := range at {
			if strconv.Itoa(i) == path[0] {
				at[i] = c.apply(t, at[i], path[1:], value)
			}
		}
		return at
	default:
		t.Fatalf("%s: no value", c.path)
		return nil
	}
}

func unescape(token string) string { return strings.ReplaceAll(token, "~1", "/") }

func TestSpecification_AdditionsAreDetected(t *testing.T) {
	t.Parallel()
	const components = "components/schemas"
	create := components + "/CreateChatCompletionRequest/allOf/1/properties"
	for _, row := range []struct {
		name    string
		changes []change
		want    string
	}{
		{"a parameter", []change{{create, "top_k", `{"type": "integer"}`}}, "CreateChatCompletionRequest/allOf/1/properties/top_k: CreateChatCompletionRequest has no field for it"},
		{"a parameter of all models", []change{{components + "/ModelResponseProperties/properties", "min_p", `{"type": "number"}`}}, "ModelResponseProperties/properties/min_p"},
		{"a field of a nested object", []change{{components + "/CompletionUsage/properties/prompt_tokens_details/properties", "video_tokens", `{"type": "integer"}`}}, "prompt_tokens_details/properties/video_tokens: PromptTokensDetails has no field for it"},
		{"a field of a chunk's delta", []change{{components + "/ChatCompletionStreamResponseDelta/properties", "reasoning", `{"type": "string"}`}}, "Delta has no field for it"},
		{"a field next to a tag", []change{{components + "/ChatCompletionModerationError/properties", "hint", `{"type": "string"}`}}, "ModerationOutcome has no field for it"},
		{"an enum value", []change{{components + "/ServiceTier/anyOf/0/enum", "+", `"turbo"`}}, `ServiceTier/anyOf/0/enum/6: the enum ServiceTier has no "turbo"`},
		{"an enum value of a list", []change{{components + "/ResponseModalities/anyOf/0/items/enum", "+", `"video"`}}, `the enum Modality has no "video"`},
		{"an enum value of a map's lists", []change{{components + "/ModerationInputType/enum", "+", `"audio"`}}, `the enum ModerationInputType has no "audio"`},
		{"a mode", []change{{components + "/ChatCompletionToolChoiceOption/oneOf/0/enum", "+", `"maybe"`}}, `the enum ToolChoiceMode has no "maybe"`},
		{"a second legal value", []change{{components + "/ChatCompletionDeleted/properties/object/enum", "+", `"gone"`}}, "ChatCompletionDeleted/properties/object/enum/1: nothing carries it"},
		{"another legal value", []change{{components + "/PromptCacheBreakpointParam/properties/mode", "enum", `["strict"]`}}, "PromptCacheBreakpointParam/properties/mode/enum/0: nothing carries it"},
		{"a role", []change{{components + "/ChatCompletionStreamResponseDelta/properties/role/enum", "+", `"critic"`}}, `the enum Role has no "critic"`},
		{"a kind of content part", []change{
			{components, "VideoPart", `{"type": "object", "properties": {"type": {"type": "string", "enum": ["video"]}, "video": {"type": "string"}}}`},
			{components + "/ChatCompletionRequestUserMessageContentPart/oneOf", "+", `{"$ref": "#/components/schemas/VideoPart"}`},
		}, "VideoPart/properties/type/enum/0: nothing carries it"},
		{"a kind of response format without a payload", []change{
			{create + "/response_format/oneOf", "+", `{"type": "object", "properties": {"type": {"type": "string", "enum": ["xml"]}}}`},
		}, "response_format/oneOf/3/properties/type/enum/0: nothing carries it"},
		{"a form of another type", []change{{components + "/StopConfiguration/oneOf", "+", `{"type": "integer"}`}}, "StopConfiguration/oneOf/2: openaiconnect.chat.v1.CreateChatCompletionRequest.stop can't carry integer"},
		{"a form that is an object", []change{{components + "/VoiceIdsOrCustomVoice/anyOf", "+", `{"type": "object", "properties": {"file": {"type": "string"}}}`}}, "VoiceIdsOrCustomVoice/anyOf/2/properties/file: Voice has no field for it"},
		{"another type", []change{{create, "n", `{"type": "string"}`}}, "properties/n: openaiconnect.chat.v1.CreateChatCompletionRequest.n can't carry string"},
		{"a number with a fraction", []change{{create, "max_tokens", `{"type": "number"}`}}, "max_tokens can't carry number"},
		{"a time without a format", []change{{components + "/CreateChatCompletionResponse/properties", "created", `{"type": "integer"}`}}, "created can't carry integer"},
		{"a list instead of a single value", []change{{create, "user", `{"type": "array", "items": {"type": "string"}}`}}, "user can't carry array"},
		{"a query parameter", []change{{"paths/~1chat~1completions/get/parameters", "+", `{"name": "before", "in": "query", "schema": {"type": "string"}}`}}, "GET /v1/chat/completions, query parameter before: no field of ListChatCompletionsRequest carries it"},
		{"a value of a query parameter", []change{{"paths/~1chat~1completions/get/parameters/4/schema/enum", "+", `"random"`}}, `the enum ListOrder has no "random"`},
		{"an operation", []change{{"paths", "/chat/drafts", `{"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "string"}}}}}}}`}}, "GET /v1/chat/drafts: no RPC responds with application/json"},
		{"a media type of a response", []change{{"paths/~1chat~1completions~1{completion_id}/get/responses/200/content", "text/event-stream", `{"schema": {"type": "string"}}`}}, "GET /v1/chat/completions/{completion_id}: no RPC responds with text/event-stream"},
		{"a removed operation", []change{{"paths/~1chat~1completions~1{completion_id}", "delete", ""}}, "DeleteChatCompletion: the specification has no such operation"},
		{"a field of the error", []change{{components + "/Error/properties", "doc_url", `{"type": "string"}`}}, "Error/properties/doc_url: Error has no field for it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			problems := cover(changed(t, row.changes...)).problems
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, row.want) }) {
				t.Errorf("got problems %[2]q, want %[1]q", row.want, problems)
			}
		})
	}
}

// beyondTheSpecification returns the fields and enum values that callers can use but
// that carry no part of the specification.
func beyondTheSpecification(c *coverage) (found []protoreflect.FullName) {
	seen := make(map[protoreflect.FullName]bool)
	var walk func(protoreflect.MessageDescriptor)
	walk = func(desc protoreflect.MessageDescriptor) {
		if seen[desc.FullName()] {
			return
		}
		seen[desc.FullName()] = true
		for field := range fields(desc) {
			s := newSlot(field)
			if s.option.GetFormat() == restv1.Format_FORMAT_REMAINDER || s.option.GetTypedOnly() {
				continue
			}
			if c.uses[field.FullName()] == nil && !desc.IsMapEntry() {
				found = append(found, field.FullName())
				continue
			}
			if field.Enum() != nil {
				for value := range enumValues(field.Enum()) {
					if value.Number() != 0 && !c.values[value.FullName()] && !slices.Contains(found, value.FullName()) {
						found = append(found, value.FullName())
					}
				}
			}
			if field.Message() != nil && !s.isTime() {
				walk(field.Message())
			}
		}
	}
	for _, r := range c.rpcs {
		walk(r.input)
		walk(r.output)
	}
	walk(failures)
	slices.Sort(found)
	return found
}

func TestSpecification_HasEveryField(t *testing.T) {
	t.Parallel()
	found := beyondTheSpecification(cover(openapi.Specification(t)))
	for _, name := range found {
		if beyond[name] == "" {
			t.Errorf("%s: not in the specification", name)
		}
	}
	for name := range beyond {
		if !slices.Contains(found, name) {
			t.Errorf("%s: now in the specification", name)
		}
	}
}

func TestSpecification_RemovalsAreDetected(t *testing.T) {
	t.Parallel()
	const components = "components/schemas"
	for _, row := range []struct {
		name   string
		change change
		want   protoreflect.FullName
	}{
		{"a parameter", change{components + "/ModelResponseProperties/properties", "top_p", ""}, "openaiconnect.chat.v1.CreateChatCompletionRequest.top_p"},
		{"an enum value", change{components + "/Verbosity/anyOf/0/enum", "low", ""}, "openaiconnect.shared.v1.VERBOSITY_LOW"},
		{"a query parameter", change{"paths/~1chat~1completions/get/parameters/2", "name", `"until"`}, "openaiconnect.chat.v1.ListChatCompletionsRequest.after"},
		{"a payload", change{components + "/ChatCompletionRequestMessageContentPartFile/properties/type", "enum", `["text"]`}, "openaiconnect.chat.v1.ContentPart.file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if found := beyondTheSpecification(cover(changed(t, row.change))); !slices.Contains(found, row.want) {
				t.Errorf("got %[2]q, want %[1]s", row.want, found)
			}
		})
	}
}

// unwritten are fields that the specification always requires but that are encoded only
// when set.
var unwritten = map[protoreflect.FullName]string{
	"openaiconnect.chat.v1.ToolCallDelta.index": "tool calls arrive in pieces, and upstreams omit it",
}

// The options of a field agree with the specification: always encoded, output-only,
// and deprecated.
func TestSpecification_OptionsAgree(t *testing.T) {
	t.Parallel()
	c := cover(openapi.Specification(t))
	checked := 0
	for name, u := range c.uses {
		message, _ := u.slot.field.Parent().(protoreflect.MessageDescriptor)
		goes := c.messages[message.FullName()]
		if goes == nil || u.slot.isBranch() {
			continue // It is a parameter, or next to a tag.
		}
		checked++
		for _, problem := range checkOptions(u, goes) {
			if unwritten[name] == "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
	if checked == 0 {
		t.Error("nothing was checked")
	}
}

// checkOptions returns the problems with the options of a field.
func checkOptions(u *use, goes *visits) (problems []string) {
	option, presence := u.slot.option, u.slot.option.GetPresence()
	always := !u.optional && !goes.lacks[u.slot.name()]
	message, _ := u.slot.field.Parent().(protoreflect.MessageDescriptor)
	isOtherForm := u.slot.field.IsList() && len(mappingOf(message).members[u.slot.name()]) > 1
	deprecated := u.slot.field.Options().(*descriptorpb.FieldOptions).GetDeprecated()
	for _, rule := range []struct {
		text   string
		broken bool
	}{
		{"it is output-only, but it is in requests", option.GetOutputOnly() && u.inRequest},
		{"it is only in replies of a message used in both, but it isn't output-only", goes.inRequest && !u.inRequest && !option.GetOutputOnly()},
		{"it is output-only in a message that no request has", option.GetOutputOnly() && !goes.inRequest},
		{"it is always required, but not always written", always && presence == restv1.Presence_PRESENCE_UNSPECIFIED && !isOtherForm},
		{"it is always written, but not always required", !always && (presence == restv1.Presence_PRESENCE_REQUIRED || presence == restv1.Presence_PRESENCE_MANDATORY)},
		{"it is written as null, but never required", !u.required && presence != restv1.Presence_PRESENCE_UNSPECIFIED},
		{"it is written as null, but never null", !u.nullable && (presence == restv1.Presence_PRESENCE_NULLABLE || presence == restv1.Presence_PRESENCE_NULLABLE_IN_RESPONSE)},
		{"the specification and the .proto file disagree about deprecation", deprecated != (u.deprecated && !u.lives)},
	} {
		if rule.broken {
			problems = append(problems, rule.text)
		}
	}
	return problems
}

func TestSpecification_OptionConflictsAreDetected(t *testing.T) {
	t.Parallel()
	const components = "components/schemas"
	for _, row := range []struct {
		name   string
		change change
		field  protoreflect.FullName
		want   string
	}{
		{"newly required field", change{components + "/WebSearchLocation", "required", `["city"]`}, "openaiconnect.chat.v1.WebSearchLocation.city", "not always written"},
		{"field that is no longer required", change{components + "/CompletionUsage", "required", `[]`}, "openaiconnect.chat.v1.Usage.total_tokens", "not always required"},
		{"field that is no longer null", change{components + "/Error/properties", "param", `{"type": "string"}`}, "openaiconnect.rest.v1.Error.param", "never null"},
		{"field new in requests", change{components + "/ChatCompletionRequestUserMessage/properties", "id", `{"type": "string"}`}, "openaiconnect.chat.v1.Message.id", "but it is in requests"},
		{"field removed from requests", change{components + "/ChatCompletionRequestAssistantMessage/properties", "refusal", ``}, "openaiconnect.chat.v1.Message.refusal", "isn't output-only"},
		{"newly deprecated field", change{components + "/ModelResponseProperties/properties/top_p", "deprecated", `true`}, "openaiconnect.chat.v1.CreateChatCompletionRequest.top_p", "disagree about deprecation"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := cover(changed(t, row.change))
			u := c.uses[row.field]
			message, _ := u.slot.field.Parent().(protoreflect.MessageDescriptor)
			if problems := checkOptions(u, c.messages[message.FullName()]); !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, row.want) }) {
				t.Errorf("got problems %[2]q, want %[1]q", row.want, problems)
			}
		})
	}
}
