package sdkcheck_test

import (
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

	"github.com/openai-connect/openai-connect/server/internal/sdkcheck"
)

const completion = `{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"b","refusal":null,` +
	`"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop","logprobs":null}]}`

func TestReply(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, old, changed, want string }{
		{"what the SDK knows", ``, ``, ""},
		{"an unknown member", `"id":"a"`, `"id":"a","x":1`, ".x: the SDK doesn't know it: 1"},
		{"an unknown member, far down", `"name":"f"`, `"name":"f","x":{}`, ".Choices[0].Message.ToolCalls[0].Function.x: the SDK doesn't know it: {}"},
		{"a member of another type", `"choices":[`, `"usage":"none","choices":[`, ".Usage: is of another type"},
		{"a number for a string, which the SDK reads", `"id":"a"`, `"id":5`, `.id: want 5, got "5"`},
		{"a string for a number, which the SDK reads", `"created":1`, `"created":"1"`, `.created: want "1", got 1`},
		{"another constant", `"chat.completion"`, `"chat.chunk"`, `.Object: want "chat.completion", got "chat.chunk"`},
		{"a constant is missing", `"object":"chat.completion",`, ``, ".Object: is missing"},
		{"a required member is missing", `"index":0,`, ``, ".Choices[0].Index: is missing"},
		{"a variant that the SDK doesn't know", `"type":"function"`, `"type":"mcp"`, ".ToolCalls[0]: unknown variant to the SDK"},
		{"malformed JSON", `"id":"a"`, `"id":`, "invalid character"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			reply, err := sdkcheck.Reply[openai.ChatCompletion]([]byte(strings.Replace(completion, row.old, row.changed, 1)))
			checkError(t, err, row.want)
			if err == nil && reply.Choices[0].Message.Content != "b" {
				t.Errorf("got %+v", reply)
			}
		})
	}
}

func TestReply_UnionsWithoutTag(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, part, want string }{
		{"a variant that the SDK knows", `{"type":"text","text":"a"}`, ""},
		{"another variant that the SDK knows", `{"type":"image_url","image_url":{"url":"a"}}`, ""},
		{"a variant that the SDK doesn't know", `{"type":"video","video":"a"}`, ".ContentParts[0].video: the SDK doesn't know it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := sdkcheck.Reply[openai.ChatCompletionStoreMessage]([]byte(
				`{"id":"a","role":"assistant","content":null,"refusal":null,"content_parts":[` + row.part + `]}`))
			checkError(t, err, row.want)
		})
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, body, want string }{
		{"what the SDK knows", `{"model":"m","messages":[{"role":"user","content":"a"}],"temperature":0}`, ""},
		{"stream, which its methods set", `{"model":"m","messages":[],"stream":true}`, ""},
		{"null where it is legal", `{"model":"m","messages":[{"role":"function","name":"f","content":null}]}`, ""},
		{"a function to call", `{"model":"m","messages":[],"tool_choice":{"type":"function","function":{"name":"f"}}}`, ""},
		{"allowed tools", `{"model":"m","messages":[],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}}`, ""},
		{"a tool choice with an unknown member", `{"model":"m","messages":[],"tool_choice":{"type":"custom","custom":{"name":"f","x":1}}}`, ".tool_choice.custom.x: want 1, got null"},
		{"a tool choice of an unknown kind", `{"model":"m","messages":[],"tool_choice":{"type":"hosted","hosted":{}}}`, `.Type: want "allowed_tools", got "hosted"`},
		{"an unknown parameter", `{"model":"m","messages":[],"top_k":1}`, ".top_k: want 1, got null"},
		{"an unknown member, far down", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","x":1}]}]}`, ".messages[0].content[0].x: want 1, got null"},
		{"a parameter of another type", `{"model":"m","messages":[],"n":"1"}`, `.n: want "1", got null`},
		{"a part that the SDK doesn't know", `{"model":"m","messages":[{"role":"user","content":[{"type":"video","video":{}}]}]}`, "the SDK keeps it raw"},
		{"a role that the SDK doesn't know", `{"model":"m","messages":[{"role":"narrator","content":"a"}]}`, "the SDK keeps it raw"},
		{"a constant of another value", `{"model":"m","messages":[],"prediction":{"type":"other","content":"a"}}`, `.Prediction.Type: want "content", got "other"`},
		{"no object", `[]`, "cannot unmarshal"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := sdkcheck.Params[openai.ChatCompletionNewParams]([]byte(row.body))
			checkError(t, err, row.want)
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got error %[2]v, want it to contain %[1]q", want, err)
	}
}
