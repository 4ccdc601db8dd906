package restjson_test

import "testing"

// unions are the rules of unions, of members with two forms, and of other special
// cases.
var unions = []rule{
	// `type`, `object` and `mode` are constants without a field.
	{
		name: "constants have no field and are written", kind: aDeleted,
		rest:  `{"object":"chat.completion.deleted","id":"a","deleted":true}`,
		typed: `id: "a" deleted: true`,
	},
	{
		name: "constants that are missing are written", kind: aDeleted,
		rest: `{"id":"a","deleted":true}`, full: `{"object":"chat.completion.deleted","id":"a","deleted":true}`, request: `{"object":"chat.completion.deleted","id":"a","deleted":true}`,
		typed: `id: "a" deleted: true`,
	},
	{
		name: "a constant with another value goes to extra_json", kind: aDeleted,
		rest:  `{"id":"a","deleted":true,"object":"thread.deleted"}`,
		typed: `id: "a" deleted: true extra_json: '{"object":"thread.deleted"}'`,
	},
	{
		name: "a list's object", kind: aMessageList,
		rest:    `{"object":"list","data":[{"role":"user","content":"a","refusal":null,"id":"m-0"}],"first_id":"m-0","last_id":"m-0","has_more":false}`,
		typed:   `data: { role: ROLE_USER content: "a" id: "m-0" } first_id: "m-0" last_id: "m-0"`,
		request: `{"object":"list","data":[{"role":"user","content":"a"}],"first_id":"m-0","last_id":"m-0","has_more":false}`,
	},
	{
		name: "a page of completions", kind: aList,
		rest:    `{"object":"list","data":[{"object":"chat.completion","id":"c","created":1,"model":"m","choices":[],"metadata":{"k":"v"}}],"first_id":"c","last_id":"c","has_more":true}`,
		typed:   `data: { id: "c" created: { seconds: 1 } model: "m" metadata: { key: "k" value: "v" } } first_id: "c" last_id: "c" has_more: true`,
		request: "-",
	},

	// `model` and `voice` are open sets.
	{
		name: "an unknown model and an unknown voice", kind: aRequest,
		rest:    `{"model":"gpt-99","messages":[{"role":"user","content":"Hello!","refusal":null}],"audio":{"voice":"zephyr","format":"opus"}}`,
		typed:   `model: "gpt-99" ` + hello + ` audio: { voice: { name: "zephyr" } format: AUDIO_FORMAT_OPUS }`,
		request: `{"model":"gpt-99","messages":[{"role":"user","content":"Hello!"}],"audio":{"voice":"zephyr","format":"opus"}}`,
	},

	// `voice`, `tool_choice`, `function_call` of a request: mode or name, or an object.
	{name: "a voice by name", kind: aSpeech, rest: `{"voice":"alloy","format":"wav"}`, typed: `voice: { name: "alloy" } format: AUDIO_FORMAT_WAV`},
	{name: "a voice with an empty name", kind: aSpeech, rest: `{"voice":"","format":"wav"}`, typed: `voice: { name: "" } format: AUDIO_FORMAT_WAV`},
	{name: "a voice by id", kind: aSpeech, rest: `{"voice":{"id":"voice_1"},"format":"pcm16"}`, typed: `voice: { id: "voice_1" } format: AUDIO_FORMAT_PCM16`},
	{name: "a voice of another type", kind: aSpeech, rest: `{"voice":{"clone":"c"},"format":"wav"}`, typed: `voice: { extra_json: '{"clone":"c"}' } format: AUDIO_FORMAT_WAV`},
	{name: "a voice that is a number", kind: aSpeech, rest: `{"format":"wav","voice":7}`, typed: `format: AUDIO_FORMAT_WAV extra_json: '{"voice":7}'`},
	{name: "a voice by ID without extra_json", kind: aVoice, rest: `{"id":"voice_1","x":1}`, typed: `id: "voice_1" extra_json: '{"x":1}'`},
	{name: "a function call by name", kind: aCallChoice, rest: `{"name":"f"}`, typed: `name: "f"`},
	{name: "a function call by name with unknown members", kind: aCallChoice, rest: `{"name":"f","x":{}}`, typed: `name: "f" extra_json: '{"x":{}}'`},
	{name: "a function call of another type", kind: aCallChoice, rest: `{"name":5}`, typed: `extra_json: '{"name":5}'`},
	{
		name: "a function call and a tool choice with a mode", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"tool_choice":"auto","function_call":"none"}`,
		typed:   `model: "m" ` + hello + ` tool_choice: { mode: TOOL_CHOICE_MODE_AUTO } function_call: { mode: FUNCTION_CALL_MODE_NONE }`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"tool_choice":"auto","function_call":"none"}`,
	},
	{
		name: "a function call and a tool choice with an unknown mode", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"tool_choice":"often","function_call":"never"}`,
		typed:   `model: "m" ` + hello + ` extra_json: '{"tool_choice":"often","function_call":"never"}'`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"tool_choice":"often","function_call":"never"}`,
	},
	{name: "a tool choice of an unknown type", kind: aToolChoice, rest: `{"type":"hosted","hosted":{}}`, typed: `extra_json: '{"type":"hosted","hosted":{}}'`},

	// `Message` with unset content and no parts.
	{name: "a message without content", kind: aMessage, typed: `role: ROLE_ASSISTANT`, rest: `{"role":"assistant","content":null,"refusal":null}`, request: `{"role":"assistant"}`},
	{name: "a function message without content has null", kind: aMessage, typed: `role: ROLE_FUNCTION name: "f"`, rest: `{"role":"function","content":null,"refusal":null,"name":"f"}`, request: `{"role":"function","content":null,"name":"f"}`},
	{name: "a function message with content", kind: aMessage, typed: `role: ROLE_FUNCTION content: "1" name: "f"`, rest: `{"role":"function","content":"1","refusal":null,"name":"f"}`, request: `{"role":"function","content":"1","name":"f"}`},
	{name: "content in extra_json replaces null", kind: aMessage, typed: `role: ROLE_FUNCTION extra_json: '{"content":5}'`, rest: `{"role":"function","refusal":null,"content":5}`, request: `{"role":"function","content":5}`},

	// Stored messages have text and parts, each under its own name.
	{
		name: "the parts of a stored message", kind: aMessage,
		rest:    `{"role":"user","content":"Look: …","content_parts":[{"type":"text","text":"Look:"}],"refusal":null,"id":"m-0"}`,
		typed:   `role: ROLE_USER content: "Look: …" content_parts: { text: "Look:" } id: "m-0"`,
		request: "-",
	},
	{
		name: "the parts of a stored message before its ID, without text", kind: aMessage,
		rest: `{"content_parts":[{"type":"text","text":"Look:"}],"content":null,"id":"m-0","role":"user"}`, full: `{"role":"user","content":null,"content_parts":[{"type":"text","text":"Look:"}],"refusal":null,"id":"m-0"}`,
		typed:   `role: ROLE_USER content_parts: { text: "Look:" } id: "m-0"`,
		request: `{"role":"user","content":[{"type":"text","text":"Look:"}]}`,
	},
	{
		name: "the parts of a stored message with a mismatched text", kind: aMessage,
		rest:    `{"role":"user","content_parts":[{"type":"text","text":"b"}],"refusal":null,"id":"m-0","content":5}`,
		typed:   `role: ROLE_USER content_parts: { text: "b" } id: "m-0" extra_json: '{"content":5}'`,
		request: "-",
	},
	{
		name: "the parts of a stored message under the name content", kind: aMessage,
		rest: `{"role":"user","content":[{"type":"text","text":"a"}],"refusal":null,"id":"m-0"}`, full: `{"role":"user","refusal":null,"id":"m-0","content":[{"type":"text","text":"a"}]}`,
		typed:   `role: ROLE_USER id: "m-0" extra_json: '{"content":[{"type":"text","text":"a"}]}'`,
		request: `{"role":"user","content":[{"type":"text","text":"a"}]}`,
	},
	{
		name: "parts under both names in a stored message", kind: aMessage,
		rest:    `{"role":"user","content_parts":[{"type":"text","text":"b"}],"refusal":null,"id":"m-0","content":[{"type":"text","text":"a"}]}`,
		typed:   `role: ROLE_USER content_parts: { text: "b" } id: "m-0" extra_json: '{"content":[{"type":"text","text":"a"}]}'`,
		request: "-",
	},
	{
		name: "parts under both names in another message", kind: aMessage,
		rest: `{"role":"user","content":[{"type":"text","text":"a"}],"refusal":null,"content_parts":[{"type":"text","text":"b"}]}`, request: `{"role":"user","content":[{"type":"text","text":"a"}],"content_parts":[{"type":"text","text":"b"}]}`,
		typed: `role: ROLE_USER content_parts: { text: "a" } extra_json: '{"content_parts":[{"type":"text","text":"b"}]}'`,
	},
	{
		name: "parts under the alias without an ID", kind: aMessage,
		rest: `{"role":"user","content":"a","content_parts":[{"type":"text","text":"b"}],"refusal":null}`, full: `{"role":"user","content":"a","refusal":null,"content_parts":[{"type":"text","text":"b"}]}`,
		typed:   `role: ROLE_USER content: "a" extra_json: '{"content_parts":[{"type":"text","text":"b"}]}'`,
		request: `{"role":"user","content":"a","content_parts":[{"type":"text","text":"b"}]}`,
	},
	{
		name: "parts under the alias with an ID that is not a string", kind: aMessage,
		rest: `{"role":"user","content":null,"content_parts":[{"type":"text","text":"b"}],"refusal":null,"id":7}`, full: `{"role":"user","content":null,"refusal":null,"content_parts":[{"type":"text","text":"b"}],"id":7}`,
		typed:   `role: ROLE_USER extra_json: '{"content_parts":[{"type":"text","text":"b"}],"id":7}'`,
		request: `{"role":"user","content_parts":[{"type":"text","text":"b"}],"id":7}`,
	},

	// A repeated member whose first value is zero: the field has no presence, so
	// both are kept as text.
	{
		name: "a zero, repeated", kind: aTopLogprob,
		rest: `{"token":"","logprob":-0,"bytes":null,"token":"a","x":1,"logprob":[],"token":5}`, full: `{"bytes":null,"token":"","logprob":-0,"token":"a","x":1,"logprob":[],"token":5}`,
		typed:   `logprob: -0 extra_json: '{"token":"","logprob":-0,"token":"a","x":1,"logprob":[],"token":5}'`,
		request: `{"bytes":null,"token":"","logprob":-0,"token":"a","x":1,"logprob":[],"token":5}`,
	},
	{
		name: "a value that is not a number, then a zero", kind: aTopLogprob,
		rest: `{"logprob":"a","token":"b","bytes":null,"logprob":0}`, full: `{"token":"b","bytes":null,"logprob":"a","logprob":0}`,
		typed:   `token: "b" extra_json: '{"logprob":"a","logprob":0}'`,
		request: `{"token":"b","bytes":null,"logprob":"a","logprob":0}`,
	},

	// `stop` is a list or a single item.
	{
		name: "one stop", kind: aRequest,
		rest: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stop":"\n"}`, full: `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"stop":["\n"]}`, request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stop":["\n"]}`,
		typed: `model: "m" ` + hello + ` stop: "\n"`,
	},
	{
		name: "several stops", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"stop":["a","b"]}`,
		typed:   `model: "m" ` + hello + ` stop: "a" stop: "b"`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stop":["a","b"]}`,
	},
	{
		name: "a stop that is neither a string nor an array", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"stop":[1]}`,
		typed:   `model: "m" ` + hello + ` extra_json: '{"stop":[1]}'`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stop":[1]}`,
	},

	// `allowed_tools.tools`.
	{
		name: "allowed tools are verbatim", kind: aToolChoice,
		rest:  `{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{ "type":"function", "function":{"name":"f"}},{"x":1.0}]}}`,
		typed: `allowed_tools: { mode: ALLOWED_TOOLS_MODE_REQUIRED tools_json: '{ "type":"function", "function":{"name":"f"}}' tools_json: '{"x":1.0}' }`,
	},
	{
		name: "no allowed tools are an empty array", kind: aToolChoice,
		rest:  `{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`,
		typed: `allowed_tools: { mode: ALLOWED_TOOLS_MODE_AUTO }`,
	},

	// `format` text or grammar, `response_format` text or json_object.
	{name: "a format that is text", kind: aCustomFormat, rest: `{"type":"text"}`, typed: `text: {}`},
	{name: "a format that is a grammar", kind: aCustomFormat, rest: `{"type":"grammar","grammar":{"definition":"[a-z]+","syntax":"regex"}}`, typed: `grammar: { definition: "[a-z]+" syntax: GRAMMAR_SYNTAX_REGEX }`},
	{name: "a text format", kind: aFormat, rest: `{"type":"text"}`, typed: `text: {}`},
	{name: "a JSON object format", kind: aFormat, rest: `{"type":"json_object"}`, typed: `json_object: {}`},
	{name: "a text format with unknown members", kind: aFormat, rest: `{"type":"text","max":5,"text":{"a":1}}`, typed: `text: {} extra_json: '{"max":5,"text":{"a":1}}'`},
	{name: "a JSON object format with a schema", kind: aFormat, rest: `{"type":"json_object","json_schema":{"name":"n"}}`, typed: `json_object: {} extra_json: '{"json_schema":{"name":"n"}}'`},

	// `moderation.input` and `.output`: an inline payload.
	{
		name: "moderation results", kind: anOutcome,
		rest:  `{"type":"moderation_results","model":"omni","results":[{"type":"moderation_result","model":"omni","flagged":true,"categories":{"hate":true},"category_scores":{"hate":0.75},"category_applied_input_types":{"hate":["text","image"],"other":[]}}]}`,
		typed: `moderation_results: { model: "omni" results: { model: "omni" flagged: true categories: { key: "hate" value: true } category_scores: { key: "hate" value: 0.75 } category_applied_input_types: { key: "hate" value: { types: MODERATION_INPUT_TYPE_TEXT types: MODERATION_INPUT_TYPE_IMAGE } } category_applied_input_types: { key: "other" value: {} } } }`,
	},
	{name: "a moderation error", kind: anOutcome, rest: `{"type":"error","code":"timeout","message":"Too slow."}`, typed: `error: { code: "timeout" message: "Too slow." }`},
	{name: "a moderation outcome with unknown members", kind: anOutcome, rest: `{"type":"error","code":"c","message":"m","model":"x","retry":true}`, typed: `error: { code: "c" message: "m" } extra_json: '{"model":"x","retry":true}'`},
	{name: "a moderation outcome that is not an object", kind: anOutcome, rest: `{"type":"error","message":"m","code":7}`, typed: `error: { message: "m" } extra_json: '{"code":7}'`},
	{name: "a moderation outcome of an unknown type", kind: anOutcome, rest: `{"type":"skipped","code":"c"}`, typed: `extra_json: '{"type":"skipped","code":"c"}'`},
	{name: "a moderation outcome with the tag last", kind: anOutcome, rest: `{"code":"c","message":"m","type":"error"}`, full: `{"type":"error","code":"c","message":"m"}`, request: `{"type":"error","code":"c","message":"m"}`, typed: `error: { code: "c" message: "m" }`},
	{name: "a moderation payload of another type", kind: anOutcome, rest: `{"type":"moderation_results","model":"","results":{}}`, typed: `moderation_results: {} extra_json: '{"results":{}}'`},

	// `user_location` and `annotations[]`: unions of one branch.
	{
		name: "a user's location", kind: aSearch,
		rest:  `{"user_location":{"type":"approximate","approximate":{"country":"DE","region":"Hesse","city":"Kassel","timezone":"Europe/Berlin"}},"search_context_size":"low"}`,
		typed: `user_location: { approximate: { country: "DE" region: "Hesse" city: "Kassel" timezone: "Europe/Berlin" } } search_context_size: WEB_SEARCH_CONTEXT_SIZE_LOW`,
	},
	{name: "a user's exact location", kind: aSearch, rest: `{"user_location":{"type":"exact","exact":{"lat":1}}}`, typed: `user_location: { extra_json: '{"type":"exact","exact":{"lat":1}}' }`},
	{name: "an annotation", kind: anAnnotation, rest: `{"type":"url_citation","url_citation":{"start_index":0,"end_index":5,"url":"u","title":"t"}}`, typed: `url_citation: { end_index: 5 url: "u" title: "t" }`},
	{name: "an annotation of an unknown type", kind: anAnnotation, rest: `{"type":"file_citation","file_citation":{"file_id":"f"}}`, typed: `extra_json: '{"type":"file_citation","file_citation":{"file_id":"f"}}'`},

	// `prompt_cache_breakpoint` is next to the part.
	{name: "a breakpoint after a part", kind: aPart, rest: `{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}`, typed: `text: "a" prompt_cache_breakpoint: {}`},
	{name: "a breakpoint of another mode", kind: aPart, rest: `{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"fuzzy","ttl":"1h"}}`, typed: `text: "a" prompt_cache_breakpoint: { extra_json: '{"mode":"fuzzy","ttl":"1h"}' }`},
	{name: "a breakpoint after an unknown part", kind: aPart, rest: `{"prompt_cache_breakpoint":{"mode":"explicit"},"type":"video","video":{}}`, typed: `prompt_cache_breakpoint: {} extra_json: '{"type":"video","video":{}}'`},

	// `category_applied_input_types`.
	{
		name: "maps of lists are written sorted", kind: aResult,
		rest:    `{"category_applied_input_types":{"b":[],"a":["image"]}}`,
		typed:   `category_applied_input_types: { key: "a" value: { types: MODERATION_INPUT_TYPE_IMAGE } } category_applied_input_types: { key: "b" value: {} }`,
		full:    `{"type":"moderation_result","model":"","flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{"a":["image"],"b":[]}}`,
		request: `{"type":"moderation_result","model":"","flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{"a":["image"],"b":[]}}`,
	},
	{
		name: "a mismatched list in a map moves the map", kind: aResult,
		rest:  `{"type":"moderation_result","model":"m","flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{"a":["text"],"b":["smell"]}}`,
		typed: `model: "m" extra_json: '{"category_applied_input_types":{"a":["text"],"b":["smell"]}}'`,
	},

	// `metadata` of Update is always sent.
	{name: "metadata to remove", kind: anUpdate, rest: `{"metadata":{}}`, typed: ``},
	{name: "metadata to replace", kind: anUpdate, rest: `{"metadata":{"a":"b"}}`, typed: `metadata: { key: "a" value: "b" }`},
	{name: "the ID is in the path only", kind: anUpdate, typed: `completion_id: "c"`, full: `{"metadata":{}}`, request: `{"metadata":{}}`},

	// A tool call of a delta is partial.
	{
		name: "the first piece of a tool call", kind: aDelta,
		rest:  `{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}`,
		typed: `tool_calls: { index: 0 id: "call_1" type: TOOL_CALL_TYPE_FUNCTION function: { name: "f" arguments: "" } }`,
	},
	{name: "a later piece of a tool call", kind: aDelta, rest: `{"tool_calls":[{"index":1,"function":{"arguments":"{\""}}]}`, typed: `tool_calls: { index: 1 function: { arguments: '{"' } }`},
	{name: "part of a tool call without an index", kind: aDelta, rest: `{"tool_calls":[{"function":{"arguments":"}"}}]}`, typed: `tool_calls: { function: { arguments: "}" } }`},
	{name: "part of a custom tool call", kind: aDelta, rest: `{"tool_calls":[{"index":0,"type":"custom","custom":{"name":"c","input":"a"}}]}`, typed: `tool_calls: { index: 0 type: TOOL_CALL_TYPE_CUSTOM custom: { name: "c" input: "a" } }`},
	{name: "part of a tool call of an unknown type", kind: aDelta, rest: `{"tool_calls":[{"index":0,"type":"mcp","mcp":{}}]}`, typed: `tool_calls: { index: 0 extra_json: '{"type":"mcp","mcp":{}}' }`},
	{name: "part of audio", kind: aDelta, rest: `{"audio":{"id":"a","data":"AAE=","transcript":"He"}}`, typed: `audio: { id: "a" data: "\x00\x01" transcript: "He" }`},
	{name: "the last piece of audio", kind: aDelta, rest: `{"audio":{"expires_at":1730000000}}`, typed: `audio: { expires_at: { seconds: 1730000000 } }`},
	{name: "part of a function call", kind: aDelta, rest: `{"function_call":{"name":"f","arguments":"{"}}`, typed: `function_call: { name: "f" arguments: "{" }`},
	{name: "an empty delta", kind: aDelta, rest: `{}`, typed: ``},

	// The tag is missing.
	{name: "a part without a tag", kind: aPart, rest: `{"text":"a"}`, full: `{"type":"text","text":"a"}`, request: `{"type":"text","text":"a"}`, typed: `text: "a"`},
	{name: "a part whose type is null", kind: aPart, rest: `{"type":null,"image_url":{"url":"a"}}`, full: `{"type":"image_url","image_url":{"url":"a"}}`, request: `{"type":"image_url","image_url":{"url":"a"}}`, typed: `image_url: { url: "a" }`},
	{name: "a call without a type", kind: aToolCall, rest: `{"id":"a","function":{"name":"f","arguments":"{}"}}`, full: `{"type":"function","function":{"name":"f","arguments":"{}"},"id":"a"}`, request: `{"type":"function","function":{"name":"f","arguments":"{}"},"id":"a"}`, typed: `id: "a" function: { name: "f" arguments: "{}" }`},
	{name: "a part without a tag, with members that are null", kind: aPart, rest: `{"image_url":null,"text":"a"}`, full: `{"type":"text","text":"a"}`, request: `{"type":"text","text":"a"}`, typed: `text: "a"`},
	{name: "a part without a tag and with a mismatched payload", kind: aPart, rest: `{"image_url":"a","text":"b"}`, full: `{"type":"text","text":"b","image_url":"a"}`, request: `{"type":"text","text":"b","image_url":"a"}`, typed: `text: "b" extra_json: '{"image_url":"a"}'`},
	{name: "a part without a tag or payload", kind: aPart, rest: `{"video":{}}`, typed: `extra_json: '{"video":{}}'`},
	{name: "a moderation outcome without a tag", kind: anOutcome, rest: `{"code":"c","message":"m"}`, full: `{"type":"error","code":"c","message":"m"}`, request: `{"type":"error","code":"c","message":"m"}`, typed: `error: { code: "c" message: "m" }`},
	{name: "a moderation outcome without a tag, with members that are null", kind: anOutcome, rest: `{"model":null,"results":null,"code":"c","message":"m"}`, full: `{"type":"error","code":"c","message":"m"}`, request: `{"type":"error","code":"c","message":"m"}`, typed: `error: { code: "c" message: "m" }`},
	{name: "a moderation outcome without a tag or payload", kind: anOutcome, rest: `{"reason":"r"}`, typed: `extra_json: '{"reason":"r"}'`},
}

func TestCodec_Unions(t *testing.T) {
	t.Parallel()
	checkRules(t, unions)
}
