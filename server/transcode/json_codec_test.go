package transcode

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

func TestJSON_ErrorsContainHints(t *testing.T) {
	t.Parallel()
	i := len(Codecs()) - 1
	codec := Codecs()[i]
	if codec.Name() != connect.CodecNameJSON {
		t.Fatalf("codec %d is %s", i, codec.Name())
	}
	for _, row := range []struct{ name, text, says string }{
		{"OpenAI's spelling of a role", `{"messages":[{"role":"user"}]}`, `invalid value for enum field role: "user": role is one of ROLE_DEVELOPER, ROLE_SYSTEM, ROLE_USER, `},
		{"OpenAI's spelling of a value", `{"reasoning_effort":"low"}`, "reasoning_effort is one of REASONING_EFFORT_NONE, "},
		{"an object for its text", `{"extra_json":{"top_k":5}}`, "extra_json is a string that contains JSON"},
		{"a schema for its text", `{"tools":[{"function":{"name":"f","parameters_json":{}}}]}`, "parameters_json is a string that contains JSON"},
		{"content in parts", `{"messages":[{"role":"ROLE_USER","content":[{"text":"a"}]}]}`, "content is a string; a list is content_parts"},
		{"a parameter that nobody knows", `{"top_k":5}`, `unknown field "top_k": fields have OpenAI's names; put a parameter unknown to this server into extra_json`},
		{"a number for a name", `{"model":5}`, "invalid value for string field model: 5"},
		{"no JSON", `{`, "unexpected"},
	} {
		err := codec.UnmarshalRead(t.Context(), strings.NewReader(row.text), new(chatv1.CreateChatCompletionRequest))
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	if err := codec.UnmarshalRead(t.Context(), strings.NewReader(`{"model":"m"}`), new(chatv1.CreateChatCompletionRequest)); err != nil {
		t.Error(err)
	}
}
