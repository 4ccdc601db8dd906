package restjson_test

import (
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// extras are the rules of extra_json.
var extras = []rule{
	{
		name: "unknown members are kept verbatim and in order", kind: aMessage,
		rest:    `{"role":"assistant","z": 1.00 ,"content":"a","reasoning_content":"\u0061\/", "refusal":null,"a" : {"b":[ ]}}`,
		typed:   `role: ROLE_ASSISTANT content: "a" extra_json: '{"z": 1.00,"reasoning_content":"\\u0061\\/","a" : {"b":[ ]}}'`,
		full:    `{"role":"assistant","content":"a","refusal":null,"z": 1.00,"reasoning_content":"\u0061\/","a" : {"b":[ ]}}`,
		request: `{"role":"assistant","content":"a","z": 1.00,"reasoning_content":"\u0061\/","a" : {"b":[ ]}}`,
	},
	{
		name: "an unknown null member is kept", kind: aMessage,
		rest:    `{"role":"user","content":null,"refusal":null,"a":null}`,
		typed:   `role: ROLE_USER extra_json: '{"a":null}'`,
		request: `{"role":"user","a":null}`,
	},
	{
		name: "an unknown enum value", kind: aMessage,
		rest:    `{"content":"a","refusal":null,"role":"narrator"}`,
		typed:   `content: "a" extra_json: '{"role":"narrator"}'`,
		request: `{"content":"a","role":"narrator"}`,
	},
	{
		name: "an unknown finish reason", kind: aChoice,
		rest:    `{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"eos"}`,
		typed:   `message: { role: ROLE_ASSISTANT content: "" } extra_json: '{"finish_reason":"eos"}'`,
		request: `{"index":0,"message":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"eos"}`,
	},
	{
		name: "members of another type", kind: aCompletion,
		rest:    `{"object":"chat.completion","created":null,"model":"","choices":[],"id":5,"usage":"none","service_tier":["x"],"metadata":{"a":1}}`,
		typed:   `extra_json: '{"id":5,"usage":"none","service_tier":["x"],"metadata":{"a":1}}'`,
		full:    `{"object":"chat.completion","created":null,"model":"","choices":[],"id":5,"usage":"none","service_tier":["x"],"metadata":{"a":1}}`,
		request: "-",
	},
	{
		name: "a string with a lone surrogate", kind: aMessage,
		rest:    `{"role":"assistant","refusal":null,"content":"a\ud83d"}`,
		typed:   `role: ROLE_ASSISTANT extra_json: '{"content":"a\\ud83d"}'`,
		request: `{"role":"assistant","content":"a\ud83d"}`,
	},
	{
		name: "a string with a lone surrogate before other text", kind: aMessage,
		rest:    `{"role":"assistant","refusal":null,"content":"\udc00", "name2" : [{"type":"text"}]}`,
		typed:   `role: ROLE_ASSISTANT extra_json: '{"content":"\\udc00","name2" : [{"type":"text"}]}'`,
		full:    `{"role":"assistant","refusal":null,"content":"\udc00","name2" : [{"type":"text"}]}`,
		request: `{"role":"assistant","content":"\udc00","name2" : [{"type":"text"}]}`,
	},
	{
		name: "a mismatched list moves as a whole", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"modalities":["text","smell"]}`,
		typed:   `model: "m" ` + hello + ` extra_json: '{"modalities":["text","smell"]}'`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"modalities":["text","smell"]}`,
	},
	{
		name: "a list of messages with another item moves as a whole", kind: aCompletion,
		rest:    `{"object":"chat.completion","id":"","created":null,"model":"","choices":[{"index":0},7]}`,
		typed:   `extra_json: '{"choices":[{"index":0},7]}'`,
		request: "-",
	},
	{
		name: "a mismatched map moves as a whole", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"logit_bias":{"1":1,"2":0.5}}`,
		typed:   `model: "m" ` + hello + ` extra_json: '{"logit_bias":{"1":1,"2":0.5}}'`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"logit_bias":{"1":1,"2":0.5}}`,
	},
	{
		name: "a mismatched value moves to the nearest object only", kind: aCompletion,
		rest:    `{"object":"chat.completion","id":"a","created":null,"model":"","choices":[{"index":0,"message":{"role":"assistant","content":"b","refusal":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"c":1}},"id":"d"}]},"finish_reason":"stop","logprobs":null}]}`,
		typed:   `id: "a" choices: { message: { role: ROLE_ASSISTANT content: "b" tool_calls: { id: "d" function: { name: "f" extra_json: '{"arguments":{"c":1}}' } } } finish_reason: FINISH_REASON_STOP }`,
		full:    `{"object":"chat.completion","id":"a","created":null,"model":"","choices":[{"index":0,"message":{"role":"assistant","content":"b","refusal":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"c":1}},"id":"d"}]},"finish_reason":"stop","logprobs":null}]}`,
		request: "-",
	},
	{
		name: "an unknown tag is kept with all members", kind: aPart,
		rest:  `{"type":"video_url","video_url":{"url":"a"},"text":"b"}`,
		typed: `extra_json: '{"type":"video_url","video_url":{"url":"a"},"text":"b"}'`,
	},
	{
		name: "an unknown tag with members common to all branches", kind: aToolCall,
		rest:  `{"id":"a","type":"mcp","mcp":{"server":"s"}}`,
		typed: `id: "a" extra_json: '{"type":"mcp","mcp":{"server":"s"}}'`,
	},
	{
		name: "a type that is not a string", kind: aTool,
		rest:  `{"type":1,"function":{"name":"f"}}`,
		typed: `extra_json: '{"type":1,"function":{"name":"f"}}'`,
	},
	{
		name: "a type with a lone surrogate", kind: aTool,
		rest:  `{"type":"\ud800","function":{"name":"f"}}`,
		typed: `extra_json: '{"type":"\\ud800","function":{"name":"f"}}'`,
	},
	{
		name: "a tag without a payload is kept in order", kind: aToolCall,
		rest:  `{"id":"b","a":1,"type":"function","c":2}`,
		typed: `id: "b" extra_json: '{"a":1,"type":"function","c":2}'`,
	},
	{
		name: "a type whose payload is null", kind: aPart,
		rest: `{"type":"text","text":null}`, full: `{"type":"text"}`, request: `{"type":"text"}`,
		typed: `extra_json: '{"type":"text"}'`,
	},
	{
		name: "a type whose payload has another type", kind: aPart,
		rest:  `{"type":"text","text":{"value":"a"}}`,
		typed: `extra_json: '{"type":"text","text":{"value":"a"}}'`,
	},
	{
		name: "a tag with the payload of another branch", kind: aPart,
		rest:  `{"type":"text","image_url":{"url":"a"}}`,
		typed: `extra_json: '{"type":"text","image_url":{"url":"a"}}'`,
	},
	{
		name: "a tag with two payloads", kind: aPart,
		rest:  `{"type":"text","text":"a","image_url":{"url":"b"}}`,
		typed: `text: "a" extra_json: '{"image_url":{"url":"b"}}'`,
	},
	{
		name: "unknown members of a union belong to the union", kind: aTool,
		rest:  `{"type":"function","function":{"name":"f"},"cache":true}`,
		typed: `function: { name: "f" } extra_json: '{"cache":true}'`,
	},
	{
		name: "the tag comes last", kind: aPart,
		rest: `{"image_url":{"url":"a"},"type":"image_url"}`, full: `{"type":"image_url","image_url":{"url":"a"}}`, request: `{"type":"image_url","image_url":{"url":"a"}}`,
		typed: `image_url: { url: "a" }`,
	},
	{
		name: "the tag comes after the payload of another branch", kind: aPart,
		rest: `{"text":"a","image_url":{"url":"b"},"type":"image_url"}`, full: `{"type":"image_url","image_url":{"url":"b"},"text":"a"}`, request: `{"type":"image_url","image_url":{"url":"b"},"text":"a"}`,
		typed: `image_url: { url: "b" } extra_json: '{"text":"a"}'`,
	},
	{
		name: "extra_json is sent at every depth", kind: aRequest,
		typed:   `model: "m" messages: { role: ROLE_USER content_parts: { text: "a" extra_json: '{"c":1}' } extra_json: '{"b": 2}' } extra_json: '{"top_k":5,"future":{"x":[1.50]}}'`,
		full:    `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","c":1}],"refusal":null,"b": 2}],"top_k":5,"future":{"x":[1.50]}}`,
		request: `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","c":1}],"b": 2}],"top_k":5,"future":{"x":[1.50]}}`,
	},
	{
		name: "extra_json may set a known member to another form", kind: aRequest,
		typed:   `model: "m" extra_json: '{"messages":"Hello!","temperature":"hot","tool_choice":{"type":"hosted"}}'`,
		full:    `{"model":"m","messages":"Hello!","temperature":"hot","tool_choice":{"type":"hosted"}}`,
		request: `{"model":"m","messages":"Hello!","temperature":"hot","tool_choice":{"type":"hosted"}}`,
	},
	{
		name: "extra_json may have a new type of tool", kind: aTool,
		rest:  `{"type":"mcp","mcp":{"url":"https://a.example"}}`,
		typed: `extra_json: '{"type":"mcp","mcp":{"url":"https://a.example"}}'`,
	},
}

func TestExtraJSON_RoundTrips(t *testing.T) {
	t.Parallel()
	checkRules(t, extras)
}

func TestUnmarshal_RejectsNonObjects(t *testing.T) {
	t.Parallel()
	// A mismatch must not hide that the text is malformed.
	for _, row := range []struct {
		name, text string
		kind       codec
		offset     int
		path       string
	}{
		{"a list after a string that doesn't fit", `{"content":"\ud800"[{"type":"text","text":"a"}]}`, aMessage, 19, "content"},
		{"null after a string that doesn't fit", `{"content":"\ud800"null}`, aMessage, 19, "content"},
		{"a list after a number", `{"content":1[]}`, aMessage, 12, "content"},
		{"an object after a mode that doesn't fit", `{"tool_choice":"often"{}}`, aRequest, 22, "tool_choice"},
		{"a list after a stop that doesn't fit", `{"stop":"\ud800"["a"]}`, aRequest, 16, "stop"},
		{"in a payload of another type", `{"type":"text","text":[1,}]}`, aPart, 25, "text[1]"},
		{"in a tag", `{"type":"te\xt","text":"a"}`, aPart, 11, "type"},
		{"after a tag", `{"type":"text","text":"a"`, aPart, 25, "text"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			message := blank(row.kind)
			got := syntaxError(t, restjson.Unmarshal([]byte(row.text), message))
			if got.Offset != row.offset || got.Path != row.path {
				t.Errorf("got %v; the message is %s", got, show(message))
			}
		})
	}
}

func TestExtraJSON_KeepsRepeatedMembersAndRequestsRejectThem(t *testing.T) {
	t.Parallel()
	message := read(t, aMessage, `{"role":"user","content":"a","content":"b"}`)
	checkMessage(t, message, typed(t, aMessage, `role: ROLE_USER content: "a" extra_json: '{"content":"b"}'`))
	_, err := restjson.AppendRequest(nil, message, nil)
	checkFieldError(t, err, `extra_json: "content" is also set as a typed field: remove one`)
}

func TestExtraJSON_KeepsDeepNesting(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, restjson.MaxDepth-1) + strings.Repeat(`]`, restjson.MaxDepth-1)
	message := new(chatv1.Message)
	if err := restjson.Unmarshal([]byte(`{"deep":`+deep+`}`), message); err != nil {
		t.Fatal(err)
	}
	got, err := restjson.AppendFull(nil, message)
	checkJSON(t, "as a reply", got, err, `{"role":null,"content":null,"refusal":null,"deep":`+deep+`}`)
}
