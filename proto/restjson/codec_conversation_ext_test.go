package restjson_test

import (
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// TestCodec_ReplyMessageContinuesConversation appends choices[0].message of a
// response to the messages of the next request.
func TestCodec_ReplyMessageContinuesConversation(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, reply, next string }{
		{
			"a text",
			`{"role":"assistant","content":"Hi!","refusal":null,"annotations":[]}`,
			`{"role":"assistant","content":"Hi!"}`,
		},
		{
			"an empty text",
			`{"role":"assistant","content":"","refusal":null}`,
			`{"role":"assistant","content":""}`,
		},
		{
			"a refusal",
			`{"role":"assistant","content":null,"refusal":"No."}`,
			`{"role":"assistant","refusal":"No."}`,
		},
		{
			"tool calls without text",
			`{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},{"id":"call_2","type":"custom","custom":{"name":"c","input":"x"}}]}`,
			`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{\"a\": 1}"},"id":"call_1"},{"type":"custom","custom":{"name":"c","input":"x"},"id":"call_2"}]}`,
		},
		{
			"a function call",
			`{"role":"assistant","content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}}`,
			`{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}`,
		},
		{
			"audio, of which only the ID is sent",
			`{"role":"assistant","content":null,"refusal":null,"audio":{"id":"audio_1","expires_at":1730000000,"data":"UklGRg==","transcript":"Hi!"}}`,
			`{"role":"assistant","audio":{"id":"audio_1"}}`,
		},
		{
			"annotations, which are output-only",
			`{"role":"assistant","content":"See [1].","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"start_index":4,"end_index":7,"url":"https://a.example","title":"A"}},{"type":"new","new":{}}]}`,
			`{"role":"assistant","content":"See [1]."}`,
		},
		{
			"a stored message, whose ID is output-only",
			`{"id":"m-1","role":"user","content":"Hi!","content_parts":null,"refusal":null,"name":"ann"}`,
			`{"role":"user","content":"Hi!","name":"ann"}`,
		},
		{
			"a stored message with parts",
			`{"id":"m-1","role":"user","content":null,"content_parts":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}`,
			`{"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}`,
		},
		{
			"unknown members are sent back verbatim",
			`{"role":"assistant","content":"Hi!","reasoning_content": "Hm, \u00e9…" ,"refusal":null,"reasoning_details":[{"type":"x","data":1.0}],"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}`,
			`{"role":"assistant","content":"Hi!","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"},"id":"a","extra_content":{"google":{"thought_signature":"s"}}}],"reasoning_content": "Hm, \u00e9…","reasoning_details":[{"type":"x","data":1.0}]}`,
		},
		{
			"a tool call of an unknown type",
			`{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"mcp","mcp":{"server":"s"}}]}`,
			`{"role":"assistant","tool_calls":[{"id":"a","type":"mcp","mcp":{"server":"s"}}]}`,
		},
		{
			"a string with a lone surrogate",
			`{"role":"assistant","content":"\ud83d","refusal":null}`,
			`{"role":"assistant","content":"\ud83d"}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			completion := new(chatv1.ChatCompletion)
			reply := `{"choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":` + row.reply + `}]}`
			if err := restjson.Unmarshal([]byte(reply), completion); err != nil {
				t.Fatal(err)
			}
			request := &chatv1.CreateChatCompletionRequest{Model: "m"}
			request.Messages = append(request.Messages,
				&chatv1.Message{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")},
				completion.GetChoices()[0].GetMessage(),
				&chatv1.Message{Role: chatv1.Role_ROLE_TOOL, Content: new("2"), ToolCallId: new("call_1")},
			)
			got, err := restjson.AppendRequest(nil, request, nil)
			checkJSON(t, "the next request", got, err,
				`{"model":"m","messages":[{"role":"user","content":"Hello!"},`+row.next+`,{"role":"tool","content":"2","tool_call_id":"call_1"}]}`)
		})
	}
}
