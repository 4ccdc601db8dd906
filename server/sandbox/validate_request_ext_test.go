package sandbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

// TestValidate_RejectsInvalidRequest checks the param and code of errors.
func TestValidate_RejectsInvalidRequest(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	const (
		user = `{"role":"user","content":"Hi"}`
		tool = `"tools":[{"type":"function","function":{"name":"f"}}]`
		call = `{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},` +
			`{"id":"2","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	)
	with := func(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }
	for name, row := range map[string]struct{ body, param, code string }{
		"no body":                                     {"", "", ""},
		"malformed JSON":                              {`{"model":`, "", ""},
		"data after the JSON object":                  {userRequest("Hi") + `{}`, "", ""},
		"not an object":                               {`[]`, "", ""},
		"deep nesting":                                {`{"metadata":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, "", ""},
		"no messages":                                 {`{"model":"m"}`, "messages", "missing_required_parameter"},
		"no model":                                    {`{"messages":[` + user + `]}`, "model", "missing_required_parameter"},
		"a model that is not a string":                {`{"model":5,"messages":[` + user + `]}`, "model", "invalid_type"},
		"messages that are not an array":              {`{"model":"m","messages":{}}`, "messages", "invalid_type"},
		"empty messages":                              {with(""), "messages", "empty_array"},
		"a message that is not an object":             {with(`"Hi"`), "messages[0]", "invalid_type"},
		"a missing role":                              {with(`{"content":"Hi"}`), "messages[0].role", "missing_required_parameter"},
		"a role of the wrong type":                    {with(user + `,{"role":1,"content":"Hi"}`), "messages[1].role", "invalid_type"},
		"an unknown role":                             {with(`{"role":"robot","content":"Hi"}`), "messages[0].role", "invalid_value"},
		"missing content":                             {with(`{"role":"user"}`), "messages[0].content", "missing_required_parameter"},
		"null content":                                {with(`{"role":"user","content":null}`), "messages[0].content", "invalid_type"},
		"content without parts":                       {with(`{"role":"user","content":[]}`), "messages[0].content", "empty_array"},
		"a part of an unknown type":                   {with(`{"role":"user","content":[{"type":"smell"}]}`), "messages[0].content[0].type", "invalid_value"},
		"a part that the role does not allow":         {with(`{"role":"system","content":[{"type":"image_url","image_url":{"url":"x"}}]}`), "messages[0].content[0].type", "invalid_value"},
		"a part without its payload":                  {with(`{"role":"user","content":[{"type":"image_url"}]}`), "messages[0].content[0].image_url", "missing_required_parameter"},
		"a nested unknown field":                      {with(`{"role":"user","content":[{"type":"image_url","image_url":{"url":"x","zoom":1}}]}`), "messages[0].content[0].image_url.zoom", "unknown_parameter"},
		"an empty assistant message":                  {with(user + `,{"role":"assistant"}`), "messages[1].content", "missing_required_parameter"},
		"a tool message without a call":               {with(user + `,{"role":"tool","tool_call_id":"1","content":"x"}`), "messages[1].role", ""},
		"a tool message with an unknown ID":           {with(user + `,` + call + `,{"role":"tool","tool_call_id":"3","content":"x"}`), "messages[2].tool_call_id", ""},
		"a call without a tool message":               {with(user + `,` + call + `,{"role":"tool","tool_call_id":"1","content":"x"}`), "messages[1].tool_calls", ""},
		"a tool message after another message":        {with(user + `,` + call + `,` + user + `,{"role":"tool","tool_call_id":"1","content":"x"}`), "messages[1].tool_calls", ""},
		"an unknown parameter":                        {userRequest("Hi", `"colour":"red"`), "", ""},
		"a boolean that is a string":                  {userRequest("Hi", `"stream":"true"`), "stream", "invalid_type"},
		"an integer with a fraction":                  {userRequest("Hi", `"n":1.5`), "n", "invalid_type"},
		"an integer beyond 64 bits":                   {userRequest("Hi", `"seed":9223372036854775808`), "seed", "invalid_type"},
		"zero choices":                                {userRequest("Hi", `"n":0`), "n", "integer_below_min_value"},
		"too many choices":                            {userRequest("Hi", `"n":129`), "n", "integer_above_max_value"},
		"a temperature below the minimum":             {userRequest("Hi", `"temperature":-0.1`), "temperature", "decimal_below_min_value"},
		"a temperature above the maximum":             {userRequest("Hi", `"temperature":2.1`), "temperature", "decimal_above_max_value"},
		"too many stop sequences":                     {userRequest("Hi", `"stop":["1","2","3","4","5"]`), "stop", "array_above_max_length"},
		"a stop sequence of the wrong type":           {userRequest("Hi", `"stop":["1",2]`), "stop[1]", "invalid_type"},
		"an unknown effort":                           {userRequest("Hi", `"reasoning_effort":"heroic"`), "reasoning_effort", "invalid_value"},
		"metadata that is not a string":               {userRequest("Hi", `"metadata":{"a":1}`), "metadata.a", "invalid_type"},
		"too much metadata":                           {userRequest("Hi", `"metadata":{"a":""`+extraFields(17)+`}`), "metadata", "object_above_max_properties"},
		"a metadata value that is too long":           {userRequest("Hi", `"metadata":{"a":"`+strings.Repeat("x", 513)+`"}`), "metadata.a", "string_above_max_length"},
		"a bias that is not an integer":               {userRequest("Hi", `"logit_bias":{"50256":"no"}`), "logit_bias.50256", "invalid_type"},
		"stream options without a stream":             {userRequest("Hi", `"stream_options":{"include_usage":true}`), "stream_options", "invalid_value"},
		"top logprobs without logprobs":               {userRequest("Hi", `"top_logprobs":2`), "top_logprobs", "invalid_value"},
		"both token limits":                           {userRequest("Hi", `"max_tokens":2,"max_completion_tokens":2`), "max_tokens", "invalid_value"},
		"a tool choice without tools":                 {userRequest("Hi", `"tool_choice":"auto"`), "tool_choice", "invalid_value"},
		"parallel calls without tools":                {userRequest("Hi", `"parallel_tool_calls":true`), "parallel_tool_calls", "invalid_value"},
		"a function call without functions":           {userRequest("Hi", `"function_call":"auto"`), "function_call", "invalid_value"},
		"a tool choice with a missing tool":           {userRequest("Hi", tool, `"tool_choice":{"type":"function","function":{"name":"g"}}`), "tool_choice", "invalid_value"},
		"missing allowed tools":                       {userRequest("Hi", tool, `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"custom","custom":{"name":"f"}}]}}`), "tool_choice.allowed_tools.tools", "invalid_value"},
		"an unknown mode of tool choice":              {userRequest("Hi", tool, `"tool_choice":"maybe"`), "tool_choice", "invalid_value"},
		"a function name with spaces":                 {userRequest("Hi", `"tools":[{"type":"function","function":{"name":"a b"}}]`), "tools[0].function.name", "invalid_value"},
		"function parameters without valid arguments": {userRequest("Hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"required":["x"],"additionalProperties":false}}}]`), "tools[0].function.parameters", "invalid_function_parameters"},
		"a schema without a valid sample":             {userRequest("Hi", `"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"properties":{"x":{"$ref":"#"}},"required":["x"]}}}`), "response_format.json_schema.schema", "invalid_json_schema"},
		"json_object without the word json":           {userRequest("Hi", `"response_format":{"type":"json_object"}`), "messages", ""},
		"audio without its settings":                  {userRequest("Hi", `"modalities":["text","audio"]`), "audio", "missing_required_parameter"},
		"audio settings without audio":                {userRequest("Hi", `"audio":{"voice":"alloy","format":"wav"}`), "audio", "invalid_value"},
		"an unsupported audio format":                 {userRequest("Hi", `"modalities":["audio"],"audio":{"voice":"alloy","format":"mp3"}`), "audio.format", "unsupported_value"},
		"a file format in a stream":                   {userRequest("Hi", `"stream":true,"modalities":["audio"],"audio":{"voice":"alloy","format":"wav"}`), "audio.format", "unsupported_value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body, "Content-Type", "application/json")
			if r.status != http.StatusBadRequest {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
			failed := lookup(t, decode(t, r.body), "error").(map[string]any)
			if got := slices.Sorted(maps.Keys(failed)); !slices.Equal(got, []string{"code", "message", "param", "type"}) {
				t.Errorf("the error has the fields %q", got)
			}
			want := func(text string) any {
				if text == "" {
					return nil
				}
				return text
			}
			if failed["param"] != want(row.param) || failed["code"] != want(row.code) || failed["type"] != "invalid_request_error" {
				t.Errorf("got %s", r.body)
			}
			if !strings.Contains(failed["message"].(string), row.param) {
				t.Errorf("%q does not contain %s", failed["message"], row.param)
			}
		})
	}
	unknown := create(t, server, userRequest("Hi", `"colour":"red"`))
	if want := "Unrecognized request argument supplied: colour"; lookup(t, decode(t, unknown.body), "error", "message") != want {
		t.Errorf("got %s, want %s", unknown.body, want)
	}
}

func extraFields(count int) string {
	var result strings.Builder
	for i := range count {
		fmt.Fprintf(&result, `,"k%d":""`, i)
	}
	return result.String()
}

// TestValidate_AcceptsMessageOfResponse appends the message of each kind of response to the
// conversation, including the fields that only responses have.
func TestValidate_AcceptsMessageOfResponse(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct {
		fields  []string
		headers []string
	}{
		"text":              {},
		"a refusal":         {headers: []string{"x-sandbox-answer", "refusal"}},
		"a citation":        {fields: []string{`"web_search_options":{}`}},
		"audio":             {fields: []string{`"modalities":["audio"],"audio":{"voice":{"id":"v"},"format":"pcm16"}`}},
		"a deprecated call": {fields: []string{`"functions":[{"name":"f"}]`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, userRequest("Hi", row.fields...), row.headers...)
			content(t, r)
			message, err := json.Marshal(lookup(t, decode(t, r.body), "choices", 0, "message"))
			if err != nil {
				t.Fatal(err)
			}
			content(t, create(t, server, `{"model":"m","messages":[{"role":"user","content":"Hi"},`+string(message)+
				`,{"role":"user","content":"Go on"}]}`))
		})
	}
}

// FuzzSandbox checks that the response to any request is a completion or an error in
// OpenAI's format.
func FuzzSandbox(f *testing.F) {
	for _, seed := range []string{
		userRequest("Hi"),
		userRequest("Hi", `"n":2,"logprobs":true,"top_logprobs":2,"stop":["a",""]`),
		userRequest("Hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"$ref":"#/x"}}},{"type":"custom","custom":{"name":"c"}}],"tool_choice":"required"`),
		userRequest("json", `"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"allOf":[{"$ref":"#"}],"pattern":"(a|b)*c{2,}"}}}`),
		userRequest("Hi", `"modalities":["audio"],"audio":{"voice":"a","format":"pcm16"}`),
		userRequest("violence", `"moderation":{"model":"omni-moderation-latest","policy":{"input":{"mode":"block"}}}`),
		`{"model":"m","messages":[{"role":"robot","content":[1,{"type":2}],"tool_calls":[3]}],"tools":[{"type":"x"}],"prediction":{"type":"x","content":[4]}}`,
		`{`, `null`, ``, `{"messages":[{"role":"tool"}]}`,
	} {
		f.Add(seed, "", false)
		f.Add(seed, "refusal", true)
		f.Add(seed, "content-filter", true)
	}
	handler := sandbox.New(sandbox.WithClock(fixedTime))
	f.Fuzz(func(t *testing.T, body, kind string, lenient bool) {
		request := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		if kind != "" {
			request.Header.Set("X-Sandbox-Answer", kind)
		}
		if lenient {
			request.Header.Set("X-Sandbox-Unknown", "accept")
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		text := recorder.Body.String()
		if strings.HasPrefix(recorder.Header().Get("Content-Type"), "text/event-stream") {
			all := events(t, text)
			for _, each := range all[:len(all)-1] {
				lookup(t, decode(t, each), "choices")
			}
			if all[len(all)-1] != "[DONE]" {
				t.Errorf("the last event is %s, want [DONE]", all[len(all)-1])
			}
			return
		}
		completion := decode(t, text)
		switch recorder.Code {
		case http.StatusOK:
			if len(lookup(t, completion, "choices").([]any)) == 0 {
				t.Error("no choice")
			}
		case http.StatusBadRequest:
			if lookup(t, completion, "error", "message") == "" {
				t.Error("no message")
			}
		default:
			t.Errorf("status %d: %s", recorder.Code, text)
		}
	})
}
