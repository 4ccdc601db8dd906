package client_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// The chunks and the expected completions are OpenAI's JSON. server/fidelity/sdk
// tests with generated requests that they match the unary call.
func TestAccumulator_AssemblesChunks(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		chunks []string
		want   string
	}{
		{"none", nil, `{}`},
		{
			"what all say of the whole, and the last of the usage",
			[]string{
				`{"id":"a","created":7,"model":"m","service_tier":"flex","system_fingerprint":"f","obfuscation":"xx","choices":[]}`,
				`{"id":"a","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
			},
			`{"id":"a","created":7,"model":"m","service_tier":"flex","system_fingerprint":"f","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`,
		},
		{
			"text",
			[]string{
				`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`,
				`{"choices":[{"index":0,"delta":{"content":"Hel"}}]}`, `{"choices":[{"index":0,"delta":{"content":"lo"}}]}`,
				`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}`,
		},
		{
			"text that is empty is not none",
			[]string{`{"choices":[{"index":0,"delta":{"content":""}}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","content":""}}]}`,
		},
		{
			"a choice without a delta",
			[]string{`{"choices":[{"index":0,"delta":{"content":"a"}}]}`, `{"choices":[{"index":0,"finish_reason":"stop"}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}`,
		},
		{
			"several choices, in any order",
			[]string{
				`{"choices":[{"index":2,"delta":{"content":"c"}},{"index":0,"delta":{"content":"a"}}]}`,
				`{"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"length"}]}`, `{"choices":[{"index":2,"delta":{"content":"C"}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"aA"},"finish_reason":"length"},{"index":2,"message":{"role":"assistant","content":"cC"}}]}`,
		},
		{
			"a refusal",
			[]string{`{"choices":[{"index":0,"delta":{"refusal":"No"}}]}`, `{"choices":[{"index":0,"delta":{"refusal":"."}}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","refusal":"No."}}]}`,
		},
		{
			"parallel tool calls, in turn",
			[]string{
				`{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":1,"id":"b","type":"custom","custom":{"name":"g","input":""}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}},{"index":1,"custom":{"input":"y"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"custom":{"input":"z"}}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[
				{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
				{"id":"b","type":"custom","custom":{"name":"g","input":"yz"}}]}}]}`,
		},
		{
			"tool calls without an index, identified by ID",
			[]string{
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"1"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"2"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"b","type":"function","function":{"name":"g","arguments":"3"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"a","function":{"arguments":"4"}}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[
				{"id":"a","type":"function","function":{"name":"f","arguments":"124"}},{"id":"b","type":"function","function":{"name":"g","arguments":"3"}}]}}]}`,
		},
		{
			"a tool call without an index after one that has it",
			[]string{
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[
				{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}]}}]}`,
		},
		{
			"a tool call without a type or arguments",
			[]string{`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},{"index":1,"id":"b","type":"function"}]}}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[
				{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"","arguments":""}}]}}]}`,
		},
		{
			"a function call as it was",
			[]string{
				`{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"{"}}}]}`, `{"choices":[{"index":0,"delta":{"function_call":{"arguments":"}"}}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}}]}`,
		},
		{
			"audio",
			[]string{
				`{"choices":[{"index":0,"delta":{"audio":{"id":"s","transcript":"He"}}}]}`, `{"choices":[{"index":0,"delta":{"audio":{"data":"AAEC","transcript":"y"}}}]}`,
				`{"choices":[{"index":0,"delta":{"audio":{"data":"Aw=="}}}]}`, `{"choices":[{"index":0,"delta":{"audio":{"expires_at":9}}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","audio":{"id":"s","transcript":"Hey","data":"AAECAw==","expires_at":9}}}]}`,
		},
		{
			"empty audio",
			[]string{`{"choices":[{"index":0,"delta":{"audio":{"id":"s","data":""}}}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","audio":{"id":"s","data":""}}}]}`,
		},
		{
			"log probabilities",
			[]string{
				`{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}],"refusal":null}}]}`,
				`{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"b","logprob":-2,"bytes":null,"top_logprobs":[]}],"refusal":[{"token":"c","logprob":-3,"bytes":null,"top_logprobs":[]}],"x":1}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant"},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]},{"token":"b","logprob":-2,"bytes":null,"top_logprobs":[]}],
				"refusal":[{"token":"c","logprob":-3,"bytes":null,"top_logprobs":[]}],"x":1}}]}`,
		},
		{
			"a moderation",
			[]string{`{"choices":[],"moderation":{"input":{"type":"error","code":"c","message":"m"},"output":{"type":"error","code":"c","message":"m"}}}`},
			`{"moderation":{"input":{"type":"error","code":"c","message":"m"},"output":{"type":"error","code":"c","message":"m"}}}`,
		},
		{
			"unknown strings of a delta concatenate, as they are written",
			[]string{
				`{"choices":[{"index":0,"delta":{"reasoning_content":"\u0041","n":1,"null":null}}]}`,
				`{"choices":[{"index":0,"delta":{"reasoning_content":"b\ud83d","n":[2],"null":"x"}}]}`,
				`{"choices":[{"index":0,"delta":{"reasoning_content":"\udc4b","n":{"a":3},"null":null}}]}`,
				`{"choices":[{"index":0,"delta":{"reasoning_content":null,"content":"!"}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"!","reasoning_content":"\u0041b\ud83d\udc4b","n":{"a":3},"null":"x"}}]}`,
		},
		{
			"and those of a delta's parts",
			[]string{
				`{"choices":[{"index":0,"delta":{"audio":{"id":"s","x":"a"},"tool_calls":[{"index":0,"id":"c","type":"function","x":"a","function":{"name":"f","arguments":"","x":"a"}},{"index":1,"id":"d","type":"custom","custom":{"name":"g","input":"","x":"a"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"audio":{"x":"b"},"tool_calls":[{"index":0,"x":"b","function":{"x":"b"}},{"index":1,"custom":{"x":"b"}}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","audio":{"id":"s","x":"ab"},"tool_calls":[
				{"id":"c","type":"function","x":"ab","function":{"name":"f","arguments":"","x":"ab"}},{"id":"d","type":"custom","custom":{"name":"g","input":"","x":"ab"}}]}}]}`,
		},
		{
			"unknown strings that each chunk repeats don't",
			[]string{
				`{"provider":"P","choices":[{"index":0,"delta":{},"native":"a"}]}`, `{"provider":"P","choices":[{"index":0,"delta":{},"native":"b"}]}`,
				`{"provider":"P","choices":[{"index":0,"delta":{},"native":null}]}`,
			},
			`{"provider":"P","choices":[{"index":0,"message":{"role":"assistant"},"native":"b"}]}`,
		},
		{
			"a field of the message that the delta lacks",
			[]string{`{"choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"start_index":1,"end_index":2,"url":"u","title":"t"}}],"x":1}}]}`},
			`{"choices":[{"index":0,"message":{"role":"assistant","annotations":[{"type":"url_citation","url_citation":{"start_index":1,"end_index":2,"url":"u","title":"t"}}],"x":1}}]}`,
		},
		{
			"an image in several chunks and a repeated image",
			[]string{
				`{"choices":[{"index":0,"delta":{"images":[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},{"index":1,"type":"image_url","image_url":{"url":"https://example.com/a"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"images":[{"index":0,"image_url":{"url":"EC"}},{"index":1,"type":"image_url","image_url":{"url":"https://example.com/a"}}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","images":[{"index":0,"type":"image_url","image_url":{"url":"data:image/png;base64,AAEC"}},{"index":1,"type":"image_url","image_url":{"url":"https://example.com/a"}}]}}]}`,
		},
		{
			"an unknown role and reason",
			[]string{`{"choices":[{"index":0,"delta":{"role":"bard"},"finish_reason":"bored"}]}`, `{"choices":[{"index":0,"delta":{"role":"bard"},"finish_reason":null}]}`},
			`{"choices":[{"index":0,"message":{"role":"bard"},"finish_reason":"bored"}]}`,
		},
		{
			"an unknown kind of tool",
			[]string{
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"spell","spell":{"words":"x"}}]}}]}`,
				`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"type":"spell"}]}}]}`,
			},
			`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"a","type":"spell","spell":{"words":"x"}}]}}]}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var whole client.Accumulator
			for _, text := range row.chunks {
				chunk := new(chatv1.ChatCompletionChunk)
				if err := restjson.Unmarshal([]byte(text), chunk); err != nil {
					t.Fatal(err)
				}
				whole.Add(chunk)
				_ = whole.Completion() // must not affect later chunks
			}
			want := new(chatv1.ChatCompletion)
			if err := restjson.Unmarshal([]byte(row.want), want); err != nil {
				t.Fatal(err)
			}
			if got := whole.Completion(); !proto.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", prototext.Format(got), prototext.Format(want))
			}
		})
	}
}

func TestAccumulator_ReturnsIndependentCompletions(t *testing.T) {
	t.Parallel()
	var whole client.Accumulator
	add := func(text string) {
		chunk := new(chatv1.ChatCompletionChunk)
		if err := restjson.Unmarshal([]byte(text), chunk); err != nil {
			t.Fatal(err)
		}
		whole.Add(chunk)
	}
	add(`{"usage":{"prompt_tokens":1},"x":"a","choices":[{"index":0,"delta":{"content":"a","x":"a","audio":{"id":"s","data":"AAEC"}},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]}}]}`)
	early := whole.Completion()
	kept := proto.CloneOf(early)
	add(`{"usage":{"prompt_tokens":2},"x":"b","choices":[{"index":0,"delta":{"content":"b","x":"b","audio":{"data":"AAEC"}},"logprobs":{"content":[{"token":"b","logprob":-1,"bytes":[98],"top_logprobs":[]}]}}]}`)
	if !proto.Equal(early, kept) {
		t.Errorf("an earlier completion changed to\n%s", prototext.Format(early))
	}
	late := proto.CloneOf(whole.Completion())
	early = whole.Completion()
	early.Usage.PromptTokens, early.Choices[0].Message.Audio.Data[0], early.Choices[0].Logprobs.Content[0].Token = new(int32(9)), 9, "z"
	if got := whole.Completion(); !proto.Equal(got, late) {
		t.Errorf("modifying one completion changed another to\n%s", prototext.Format(got))
	}
}

// FuzzAccumulator checks that any chunks become a completion that can be encoded,
// and messages that can be sent.
func FuzzAccumulator(f *testing.F) {
	for _, seed := range []string{
		`{"choices":[{"index":0,"delta":{"content":"a","x":"b","tool_calls":[{"id":"a","function":{"x":"y"}}]}}]}`,
		`{"choices":[{"index":-1,"delta":{"x":null,"content":[{"type":"text","text":"a"}]}}],"x":"\ud800"}`,
		`{"choices":[{"delta":{"content":[{}],"audio":{"data":"="},"annotations":[{}],"function_call":{}}}]}`, `{"choices":[5,{"delta":{"role":5,"tool_calls":[{},5]}}]}`,
		`{"choices":[{"index":"1","message":{"content":"a"},"delta":{"content":[{"type":"image_url","image_url":{}},"a",[5]],"refusal":[]}}]}`,
		`{"choices":[{"delta":{"l":[{"index":0,"type":"a","t":{"a":{"b":[1]}}},{"index":0,"t":{"a":5}}],"tool_calls":[{"function":{"name":5,"arguments":{}}},{"custom":{"name":"a","input":5}}]}}]}`,
		`{"choices":[{}]}`, `{"object":"chat.completion","metadata":{"a":"b"},"usage":5}`, `{"choices":[{"delta":{"tool_calls":[{"type":"x","custom":5}]}}]}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var whole client.Accumulator
		for _, text := range [][]byte{first, second} {
			chunk := new(chatv1.ChatCompletionChunk)
			if restjson.Unmarshal(text, chunk) != nil {
				return
			}
			whole.Add(chunk)
		}
		got := whole.Completion()
		if _, err := proto.Marshal(got); err != nil {
			t.Errorf("marshal the completion: %v", err)
		}
		if _, err := restjson.AppendFull(nil, got); err != nil {
			t.Errorf("encode the completion: %v\n%s", err, prototext.Format(got))
		}
		for _, choice := range got.GetChoices() {
			if _, err := restjson.AppendRequest(nil, choice.GetMessage(), nil); err != nil {
				t.Errorf("encode the message for a request: %v\n%s", err, prototext.Format(choice))
			}
		}
	})
}
