package restjson_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

const hello = `messages: { role: ROLE_USER content: "Hello!" }`

var conventions = []rule{
	{
		name: "a minimal request", kind: aRequest,
		rest:  `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!"}]}`,
		typed: `model: "gpt-5.4-mini" ` + hello,
		full:  `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!","refusal":null}]}`,
	},
	{
		name: "zero is sent, absent is not", kind: aRequest,
		rest: `{"model":"m","messages":[{"role":"user","content":""}],"temperature":0,"n":0,"store":false,"seed":0,"user":""}`,
		typed: `model: "m" messages: { role: ROLE_USER content: "" }
			temperature: 0 n: 0 store: false seed: 0 user: ""`,
		full: `{"model":"m","messages":[{"role":"user","content":"","refusal":null}],"temperature":0,"n":0,"store":false,"seed":0,"user":""}`,
	},
	{
		name: "null is absent", kind: aRequest,
		rest:    `{"model":"m","messages":null,"temperature":null,"n":null,"stop":null,"tools":null,"metadata":null,"tool_choice":null,"reasoning_effort":null}`,
		typed:   `model: "m"`,
		full:    `{"model":"m","messages":[]}`,
		request: "-",
	},
	{
		name: "optional empty lists and maps are omitted", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"stop":[],"tools":[],"metadata":{},"logit_bias":{},"modalities":[]}`,
		typed:   `model: "m" ` + hello,
		full:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}]}`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}]}`,
	},
	{
		name: "required members are written when empty", kind: aCompletion,
		rest:    `{}`,
		typed:   ``,
		full:    `{"object":"chat.completion","id":"","created":null,"model":"","choices":[]}`,
		request: "-",
	},
	{
		name: "required members of lists and maps are written when empty", kind: aResult,
		rest:    `{"flagged":false}`,
		typed:   ``,
		full:    `{"type":"moderation_result","model":"","flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{}}`,
		request: `{"type":"moderation_result","model":"","flagged":false,"categories":{},"category_scores":{},"category_applied_input_types":{}}`,
	},
	{
		name: "required nullable members are null when unset", kind: aChoice,
		rest:    `{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"finish_reason":"stop","logprobs":null}`,
		typed:   `message: { role: ROLE_ASSISTANT content: "Hi" } finish_reason: FINISH_REASON_STOP`,
		request: `{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop","logprobs":null}`,
	},
	{
		name: "the text of a response is choices[0].message.content", kind: aCompletion,
		rest:    `{"object":"chat.completion","id":"chatcmpl-1","created":1730000000,"model":"gpt-5.4-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!","refusal":null},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11},"service_tier":"default"}`,
		typed:   `id: "chatcmpl-1" created: { seconds: 1730000000 } model: "gpt-5.4-mini" choices: { message: { role: ROLE_ASSISTANT content: "Hi!" } finish_reason: FINISH_REASON_STOP } usage: { prompt_tokens: 9 completion_tokens: 2 total_tokens: 11 } service_tier: SERVICE_TIER_DEFAULT`,
		request: "-",
	},
	{
		name: "content parts become the content array", kind: aMessage,
		rest:    `{"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png","detail":"high"}}]}`,
		typed:   `role: ROLE_USER content_parts: { text: "Look:" } content_parts: { image_url: { url: "https://a.example/b.png" detail: IMAGE_DETAIL_HIGH } }`,
		full:    `{"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png","detail":"high"}}],"refusal":null}`,
		request: `{"role":"user","content":[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"https://a.example/b.png","detail":"high"}}]}`,
	},
	{
		name: "a prediction's text", kind: aPrediction,
		rest:  `{"type":"content","content":"func main() {}"}`,
		typed: `content: "func main() {}"`,
	},
	{
		name: "a prediction's parts", kind: aPrediction,
		rest:  `{"type":"content","content":[{"type":"text","text":"a"}]}`,
		typed: `content_parts: { text: "a" }`,
	},
	{
		name: "a request omits output-only fields", kind: aMessage,
		rest:    `{"role":"assistant","content":"a","refusal":null,"audio":{"id":"audio_1","expires_at":1730000000,"data":"AAE=","transcript":"a"},"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"url":"https://a.example","title":"A"}}],"id":"msg_1"}`,
		typed:   `role: ROLE_ASSISTANT content: "a" audio: { id: "audio_1" expires_at: { seconds: 1730000000 } data: "\x00\x01" transcript: "a" } annotations: { url_citation: { end_index: 1 url: "https://a.example" title: "A" } } id: "msg_1"`,
		request: `{"role":"assistant","content":"a","audio":{"id":"audio_1"}}`,
	},
	{
		name: "a delta has its own message", kind: aChunk,
		rest:    `{"object":"chat.completion.chunk","id":"c","created":1,"model":"m","choices":[{"index":1,"delta":{"role":"assistant","content":"","refusal":""},"finish_reason":null}],"obfuscation":"x"}`,
		typed:   `id: "c" created: { seconds: 1 } model: "m" choices: { index: 1 delta: { role: ROLE_ASSISTANT content: "" refusal: "" } } obfuscation: "x"`,
		request: "-",
	},
	{
		name: "the chunk with the usage has no choices", kind: aChunk,
		rest:    `{"object":"chat.completion.chunk","id":"c","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`,
		typed:   `id: "c" created: { seconds: 1 } model: "m" usage: { prompt_tokens: 1 completion_tokens: 0 total_tokens: 1 prompt_tokens_details: { cached_tokens: 0 } completion_tokens_details: { reasoning_tokens: 0 } }`,
		request: "-",
	},

	{name: "a text part", kind: aPart, rest: `{"type":"text","text":""}`, typed: `text: ""`},
	{name: "an image part", kind: aPart, rest: `{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}`, typed: `image_url: { url: "data:image/png;base64,AA==" }`},
	{name: "an audio part", kind: aPart, rest: `{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}`, typed: `input_audio: { data: "RIFF" format: INPUT_AUDIO_FORMAT_WAV }`},
	{name: "a file part", kind: aPart, rest: `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA"}}`, typed: `file: { filename: "a.pdf" file_data: "data:application/pdf;base64,AA" }`},
	{name: "a file part by ID", kind: aPart, rest: `{"type":"file","file":{"file_id":"file-1"}}`, typed: `file: { file_id: "file-1" }`},
	{name: "a refusal part", kind: aPart, rest: `{"type":"refusal","refusal":"No."}`, typed: `refusal: "No."`},
	{name: "a function tool", kind: aTool, rest: `{"type":"function","function":{"name":"f","description":"F.","parameters":{"type":"object"},"strict":false}}`, typed: `function: { name: "f" description: "F." parameters_json: '{"type":"object"}' strict: false }`},
	{name: "a custom tool", kind: aTool, rest: `{"type":"custom","custom":{"name":"c","description":"C.","format":{"type":"grammar","grammar":{"definition":"a: b","syntax":"lark"}}}}`, typed: `custom: { name: "c" description: "C." format: { grammar: { definition: "a: b" syntax: GRAMMAR_SYNTAX_LARK } } }`},
	{name: "a function call", kind: aToolCall, rest: `{"type":"function","function":{"name":"f","arguments":"{\"a\""},"id":"call_1"}`, typed: `id: "call_1" function: { name: "f" arguments: '{"a"' }`},
	{name: "a call of a custom tool", kind: aToolCall, rest: `{"type":"custom","custom":{"name":"c","input":"1\n2"},"id":"call_1"}`, typed: `id: "call_1" custom: { name: "c" input: "1\n2" }`},
	{name: "a choice of allowed tools with a mode", kind: aRequest, rest: `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"tool_choice":"required"}`, typed: `model: "m" ` + hello + ` tool_choice: { mode: TOOL_CHOICE_MODE_REQUIRED }`, request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"tool_choice":"required"}`},
	{name: "a choice of a function", kind: aToolChoice, rest: `{"type":"function","function":{"name":"f"}}`, typed: `function: { name: "f" }`},
	{name: "a choice of a custom tool", kind: aToolChoice, rest: `{"type":"custom","custom":{"name":"c"}}`, typed: `custom: { name: "c" }`},
	{name: "a JSON Schema format", kind: aFormat, rest: `{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type":"object"},"strict":true}}`, typed: `json_schema: { name: "n" description: "d" schema_json: '{"type":"object"}' strict: true }`},

	{
		name: "an enum's unset value is absent", kind: aRequest,
		rest:  `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}]}`,
		typed: `model: "m" ` + hello + ` reasoning_effort: REASONING_EFFORT_UNSPECIFIED`, request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}]}`,
	},
	{
		name: "enums with names that are not identifiers", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"prompt_cache_options":{"mode":"explicit","ttl":"30m"},"prompt_cache_retention":"24h"}`,
		typed:   `model: "m" ` + hello + ` prompt_cache_options: { mode: PROMPT_CACHE_MODE_EXPLICIT ttl: PROMPT_CACHE_TTL_30M } prompt_cache_retention: PROMPT_CACHE_RETENTION_24H`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"prompt_cache_options":{"mode":"explicit","ttl":"30m"},"prompt_cache_retention":"24h"}`,
	},

	{
		name: "free-form JSON is verbatim: order, space, numbers, escapes, repeats", kind: aTool,
		rest:  `{"type":"function","function":{"name":"f","parameters":{ "z" : 1.0, "a":{"\u0061":1e2 },"a":[] }}}`,
		typed: `function: { name: "f" parameters_json: '{ "z" : 1.0, "a":{"\\u0061":1e2 },"a":[] }' }`,
	},
	{
		name: "free-form JSON of another type goes to extra_json", kind: aTool,
		rest:  `{"type":"function","function":{"name":"f","parameters":[1]}}`,
		typed: `function: { name: "f" extra_json: '{"parameters":[1]}' }`,
	},

	{
		name: "bytes are base64", kind: anAudio,
		rest:  `{"id":"a","data":"+/8A"}`,
		typed: `id: "a" data: "\xfb\xff\x00"`, request: `{"id":"a"}`,
	},
	{
		name: "base64 that isn't canonical goes to extra_json", kind: anAudio,
		rest:  `{"id":"a","data":"AAE"}`,
		typed: `id: "a" extra_json: '{"data":"AAE"}'`,
	},
	{
		name: "base64 with invalid characters at the end goes to extra_json", kind: aPart,
		rest:  `{"type":"input_audio","input_audio":{"format":"mp3","data":"AAEC!"}}`,
		typed: `input_audio: { format: INPUT_AUDIO_FORMAT_MP3 extra_json: '{"data":"AAEC!"}' }`,
	},
	{
		name: "the bytes of a token are an array of integers", kind: aLogprob,
		rest:  `{"token":"é","logprob":-0.5,"bytes":[195,169],"top_logprobs":[{"token":"e","logprob":-9999,"bytes":null},{"token":"","logprob":0,"bytes":[]}]}`,
		typed: `token: "é" logprob: -0.5 bytes: "\xc3\xa9" top_logprobs: { token: "e" logprob: -9999 } top_logprobs: { bytes: "" }`,
	},
	{
		name: "a byte array with other values goes to extra_json", kind: aLogprob,
		rest:  `{"token":"e","logprob":-0.5,"top_logprobs":[],"bytes":[256]}`,
		typed: `token: "e" logprob: -0.5 extra_json: '{"bytes":[256]}'`,
	},
	{
		name: "a time that is not an integer goes to extra_json", kind: aCompletion,
		rest:    `{"object":"chat.completion","id":"","model":"","choices":[],"created":1730000000.5}`,
		typed:   `extra_json: '{"created":1730000000.5}'`,
		request: "-",
	},
	{
		name: "a time out of range goes to extra_json", kind: anAudio,
		rest:  `{"id":"a","expires_at":253402300800}`,
		typed: `id: "a" extra_json: '{"expires_at":253402300800}'`,
	},
	{
		name: "a count that is not an int32 goes to extra_json", kind: aUsage,
		rest:    `{"prompt_tokens":1,"completion_tokens":2147483647,"total_tokens":2147483648}`,
		typed:   `prompt_tokens: 1 completion_tokens: 2147483647 extra_json: '{"total_tokens":2147483648}'`,
		request: `{"prompt_tokens":1,"completion_tokens":2147483647,"total_tokens":2147483648}`,
	},
	{
		name: "the seed has 64 bits", kind: aRequest,
		rest:  `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"seed":-9223372036854775808}`,
		typed: `model: "m" ` + hello + ` seed: -9223372036854775808`, request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"seed":-9223372036854775808}`,
	},
	{
		name: "maps are written sorted", kind: aRequest,
		rest:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"logit_bias":{"50256":-100,"100":5},"metadata":{"b":"2","a":"1"}}`,
		typed:   `model: "m" ` + hello + ` logit_bias: { key: "50256" value: -100 } logit_bias: { key: "100" value: 5 } metadata: { key: "b" value: "2" } metadata: { key: "a" value: "1" }`,
		full:    `{"model":"m","messages":[{"role":"user","content":"Hello!","refusal":null}],"logit_bias":{"100":5,"50256":-100},"metadata":{"a":"1","b":"2"}}`,
		request: `{"model":"m","messages":[{"role":"user","content":"Hello!"}],"logit_bias":{"100":5,"50256":-100},"metadata":{"a":"1","b":"2"}}`,
	},
}

func TestCodec_FollowsConventions(t *testing.T) {
	t.Parallel()
	checkRules(t, conventions)
}

func TestCodec_OutputOnlyFields(t *testing.T) {
	t.Parallel()
	want := []protoreflect.FullName{
		"openaiconnect.chat.v1.Audio.data", "openaiconnect.chat.v1.Audio.expires_at", "openaiconnect.chat.v1.Audio.transcript",
		"openaiconnect.chat.v1.Message.annotations", "openaiconnect.chat.v1.Message.id",
	}
	var got []protoreflect.FullName
	for message := range messagesOf(aRequest.ProtoReflect().Descriptor()) {
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			if option, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member); option.GetOutputOnly() {
				got = append(got, field.FullName())
			}
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// messagesOf returns a message and the messages of its fields, at any depth.
func messagesOf(root protoreflect.MessageDescriptor) map[protoreflect.MessageDescriptor]bool {
	found := make(map[protoreflect.MessageDescriptor]bool)
	var visit func(protoreflect.MessageDescriptor)
	visit = func(message protoreflect.MessageDescriptor) {
		if found[message] {
			return
		}
		found[message] = true
		for i := range message.Fields().Len() {
			if inner := message.Fields().Get(i).Message(); inner != nil {
				visit(inner)
			}
		}
	}
	visit(root)
	return found
}

// restNames are OpenAI's names of each enum's values, from 1.
var restNames = map[protoreflect.Enum][]string{
	chatv1.Role(0):                   {"developer", "system", "user", "assistant", "function", "tool"},
	chatv1.ImageDetail(0):            {"auto", "low", "high"},
	chatv1.InputAudioFormat(0):       {"wav", "mp3"},
	chatv1.FinishReason(0):           {"stop", "length", "tool_calls", "function_call", "content_filter"},
	chatv1.ToolCallType(0):           {"function", "custom"},
	sharedv1.ReasoningEffort(0):      {"none", "minimal", "low", "medium", "high", "xhigh", "max"},
	sharedv1.Verbosity(0):            {"low", "medium", "high"},
	sharedv1.Modality(0):             {"text", "audio"},
	sharedv1.ServiceTier(0):          {"auto", "default", "flex", "scale", "priority", "fast"},
	chatv1.AudioFormat(0):            {"wav", "aac", "mp3", "flac", "opus", "pcm16"},
	sharedv1.WebSearchContextSize(0): {"low", "medium", "high"},
	sharedv1.ModerationMode(0):       {"score", "block"},
	sharedv1.ModerationInputType(0):  {"text", "image"},
	sharedv1.PromptCacheMode(0):      {"implicit", "explicit"},
	sharedv1.PromptCacheTTL(0):       {"30m"},
	sharedv1.PromptCacheRetention(0): {"in_memory", "24h"},
	sharedv1.ListOrder(0):            {"asc", "desc"},
	sharedv1.GrammarSyntax(0):        {"lark", "regex"},
	sharedv1.ToolChoiceMode(0):       {"none", "auto", "required"},
	sharedv1.AllowedToolsMode(0):     {"auto", "required"},
	chatv1.FunctionCallMode(0):       {"none", "auto"},
}

func TestEnums_HaveOpenAINames(t *testing.T) {
	t.Parallel()
	enums := make(map[protoreflect.FullName]bool)
	for enum, want := range restNames {
		desc := enum.Descriptor()
		enums[desc.FullName()] = true
		var got []string
		for i := range desc.Values().Len() {
			if value := desc.Values().Get(i); value.Number() != 0 {
				got = append(got, restName(t, desc, value.Number()))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", desc.FullName(), got, want)
		}
	}
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if file.Package() != "openaiconnect.chat.v1" && file.Package() != "openaiconnect.shared.v1" {
			return true
		}
		for i := range file.Enums().Len() {
			if name := file.Enums().Get(i).FullName(); !enums[name] {
				t.Errorf("%s has no row", name)
			}
		}
		return true
	})
}

// restName returns the name of an enum value in requests and queries.
func restName(t *testing.T, desc protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	t.Helper()
	toREST, ok := map[protoreflect.FullName]func(protoreflect.EnumNumber) (text string, back protoreflect.EnumNumber){
		"openaiconnect.chat.v1.Role":                   roundTrip(chatv1.RoleToREST, chatv1.RoleFromREST),
		"openaiconnect.chat.v1.ImageDetail":            roundTrip(chatv1.ImageDetailToREST, chatv1.ImageDetailFromREST),
		"openaiconnect.chat.v1.InputAudioFormat":       roundTrip(chatv1.InputAudioFormatToREST, chatv1.InputAudioFormatFromREST),
		"openaiconnect.chat.v1.FinishReason":           roundTrip(chatv1.FinishReasonToREST, chatv1.FinishReasonFromREST),
		"openaiconnect.chat.v1.ToolCallType":           roundTrip(chatv1.ToolCallTypeToREST, chatv1.ToolCallTypeFromREST),
		"openaiconnect.shared.v1.ReasoningEffort":      roundTrip(sharedv1.ReasoningEffortToREST, sharedv1.ReasoningEffortFromREST),
		"openaiconnect.shared.v1.Verbosity":            roundTrip(sharedv1.VerbosityToREST, sharedv1.VerbosityFromREST),
		"openaiconnect.shared.v1.Modality":             roundTrip(sharedv1.ModalityToREST, sharedv1.ModalityFromREST),
		"openaiconnect.shared.v1.ServiceTier":          roundTrip(sharedv1.ServiceTierToREST, sharedv1.ServiceTierFromREST),
		"openaiconnect.chat.v1.AudioFormat":            roundTrip(chatv1.AudioFormatToREST, chatv1.AudioFormatFromREST),
		"openaiconnect.shared.v1.WebSearchContextSize": roundTrip(sharedv1.WebSearchContextSizeToREST, sharedv1.WebSearchContextSizeFromREST),
		"openaiconnect.shared.v1.ModerationMode":       roundTrip(sharedv1.ModerationModeToREST, sharedv1.ModerationModeFromREST),
		"openaiconnect.shared.v1.ModerationInputType":  roundTrip(sharedv1.ModerationInputTypeToREST, sharedv1.ModerationInputTypeFromREST),
		"openaiconnect.shared.v1.PromptCacheMode":      roundTrip(sharedv1.PromptCacheModeToREST, sharedv1.PromptCacheModeFromREST),
		"openaiconnect.shared.v1.PromptCacheTTL":       roundTrip(sharedv1.PromptCacheTTLToREST, sharedv1.PromptCacheTTLFromREST),
		"openaiconnect.shared.v1.PromptCacheRetention": roundTrip(sharedv1.PromptCacheRetentionToREST, sharedv1.PromptCacheRetentionFromREST),
		"openaiconnect.shared.v1.ListOrder":            roundTrip(sharedv1.ListOrderToREST, sharedv1.ListOrderFromREST),
		"openaiconnect.shared.v1.GrammarSyntax":        roundTrip(sharedv1.GrammarSyntaxToREST, sharedv1.GrammarSyntaxFromREST),
		"openaiconnect.shared.v1.ToolChoiceMode":       roundTrip(sharedv1.ToolChoiceModeToREST, sharedv1.ToolChoiceModeFromREST),
		"openaiconnect.shared.v1.AllowedToolsMode":     roundTrip(sharedv1.AllowedToolsModeToREST, sharedv1.AllowedToolsModeFromREST),
		"openaiconnect.chat.v1.FunctionCallMode":       roundTrip(chatv1.FunctionCallModeToREST, chatv1.FunctionCallModeFromREST),
	}[desc.FullName()]
	if !ok {
		t.Fatalf("%s has no codec", desc.FullName())
	}
	text, back := toREST(number)
	if back != number {
		t.Errorf("%s: %d is written as %q, which is read as %d", desc.FullName(), number, text, back)
	}
	return text
}

func roundTrip[E ~int32](toREST func(E) string, fromREST func([]byte) E) func(protoreflect.EnumNumber) (string, protoreflect.EnumNumber) {
	return func(number protoreflect.EnumNumber) (string, protoreflect.EnumNumber) {
		quoted := toREST(E(number))
		text := quoted[1 : len(quoted)-1]
		return text, protoreflect.EnumNumber(fromREST([]byte(text)))
	}
}

// TestAppendRequest_RejectsInvalidMessages checks that errors name the field.
func TestAppendRequest_RejectsInvalidMessages(t *testing.T) {
	t.Parallel()
	const ok = `model: "m" ` + hello
	for _, row := range []struct{ name, typed, want string }{
		{"no model", hello, "model: is required"},
		{"no messages", `model: "m"`, "messages: is required"},
		{"nothing: the first is named", ``, "model: is required"},
		{"no role", `model: "m" messages: { content: "a" }`, "messages[0].role: is required"},
		{"text and parts", ok + ` messages: { role: ROLE_USER content: "a" content_parts: { text: "b" } }`, "messages[1].content_parts: cannot be set together with content"},
		{"an empty text and parts", ok + ` messages: { role: ROLE_USER content: "" content_parts: { text: "b" } }`, "messages[1].content_parts: cannot be set together with content"},
		{"a prediction's text and parts", ok + ` prediction: { content: "a" content_parts: { text: "b" } }`, "prediction.content_parts: cannot be set together with content"},
		{"a prediction of nothing", ok + ` prediction: {}`, "prediction.content: is required"},
		{"a part that is nothing", ok + ` messages: { role: ROLE_USER content_parts: {} }`, "messages[1].content_parts[0]: one of text, image_url, input_audio, file, refusal is required"},
		{"a tool that is nothing", ok + ` tools: {}`, "tools[0]: one of function, custom is required"},
		{"a call of nothing", ok + ` messages: { role: ROLE_ASSISTANT tool_calls: { id: "a" } }`, "messages[1].tool_calls[0]: one of function, custom is required"},
		{"a choice of nothing", ok + ` tool_choice: {}`, "tool_choice: one of mode, allowed_tools, function, custom is required"},
		{"a choice of functions of nothing", ok + ` function_call: {}`, "function_call: one of mode, name is required"},
		{"an empty format", ok + ` response_format: {}`, "response_format: one of text, json_schema, json_object is required"},
		{"an empty voice", ok + ` audio: { voice: {} format: AUDIO_FORMAT_WAV }`, "audio.voice: one of name, id is required"},
		{"audio without a voice", ok + ` audio: { format: AUDIO_FORMAT_WAV }`, "audio.voice: is required"},
		{"audio without a format", ok + ` audio: { voice: { name: "alloy" } }`, "audio.format: is required"},
		{"an empty location", ok + ` web_search_options: { user_location: {} }`, "web_search_options.user_location.approximate: is required"},
		{"a number that an enum lacks", ok + ` reasoning_effort: 99`, "reasoning_effort: 99 is not a known value"},
		{"a negative number that an enum lacks", `model: "m" messages: { role: -1 }`, "messages[0].role: -1 is not a known value"},
		{"a number that an enum lacks, in a list", ok + ` modalities: MODALITY_TEXT modalities: 9`, "modalities[1]: 9 is not a known value"},
		{"an unset value in a list", ok + ` modalities: MODALITY_UNSPECIFIED`, "modalities[0]: 0 is not a known value"},
		{"an unset mode", ok + ` tool_choice: { mode: TOOL_CHOICE_MODE_UNSPECIFIED }`, "tool_choice.mode: 0 is not a known value"},
		{"NaN", ok + ` temperature: nan`, "temperature: is a number that JSON cannot represent"},
		{"infinity", ok + ` top_p: -inf`, "top_p: is a number that JSON cannot represent"},
		{"a schema that is not an object", ok + ` response_format: { json_schema: { name: "n" schema_json: "true" } }`, "response_format.json_schema.schema_json: must be the text of one JSON object: malformed JSON at byte 0: expected an object"},
		{"parameters that are malformed", ok + ` tools: { function: { name: "a" } } tools: { function: { name: "b" parameters_json: '{"type": object}' } }`, "tools[1].function.parameters_json: must be the text of one JSON object: malformed JSON at byte 9, in type: expected a value"},
		{"an allowed tool that is not an object", ok + ` tool_choice: { allowed_tools: { mode: ALLOWED_TOOLS_MODE_AUTO tools_json: '{}' tools_json: '"f"' } }`, "tool_choice.allowed_tools.tools_json[1]: must be the text of one JSON object: malformed JSON at byte 0: expected an object"},
		{"extra_json that is not an object", ok + ` extra_json: '[]'`, "extra_json: must be the text of one JSON object: malformed JSON at byte 0: expected an object"},
		{"extra_json that is malformed, far down", ok + ` messages: { role: ROLE_USER content_parts: { text: "a" extra_json: '{"b":}' } }`, "messages[1].content_parts[0].extra_json: must be the text of one JSON object: malformed JSON at byte 5, in b: expected a value"},
		{"extra_json with a field that is also set", ok + ` temperature: 1 extra_json: '{"temperature":2}'`, `extra_json: "temperature" is also set as a typed field: remove one`},
		{"extra_json with a field that is also set, under its REST name", ok + ` tools: { function: { name: "f" parameters_json: '{}' extra_json: '{"parameters":{}}' } }`, `tools[0].function.extra_json: "parameters" is also set as a typed field: remove one`},
		{"extra_json with content beside parts", ok + ` messages: { role: ROLE_USER content_parts: { text: "a" } extra_json: '{"content":"a"}' }`, `messages[1].extra_json: "content" is also set as a typed field: remove one`},
		{"extra_json with another tag", ok + ` tools: { function: { name: "f" } extra_json: '{"type":"custom"}' }`, `tools[0].extra_json: "type" is also set as a typed field: remove one`},
		{"extra_json beside a bare mode", ok + ` tool_choice: { mode: TOOL_CHOICE_MODE_AUTO extra_json: '{"a":1}' }`, "tool_choice.extra_json: cannot be set together with mode"},
		{"extra_json beside a bare voice", ok + ` audio: { voice: { name: "alloy" extra_json: '{"a":1}' } format: AUDIO_FORMAT_WAV }`, "audio.voice.extra_json: cannot be set together with name"},
		{"extra_json with stream, which the RPC decides", ok + ` extra_json: '{"stream":true}'`, `extra_json: "stream" is set by the RPC: remove it`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := restjson.AppendRequest(nil, typed(t, aRequest, row.typed), []restjson.Constant{{Name: "stream"}})
			checkFieldError(t, err, row.want)
		})
	}
}

func TestAppendRequest_RejectsInvalidUTF8(t *testing.T) {
	t.Parallel()
	message := &chatv1.Message{Role: chatv1.Role_ROLE_USER, Content: new("\xff")}
	_, err := restjson.AppendRequest(nil, &chatv1.CreateChatCompletionRequest{Model: "m", Messages: []*chatv1.Message{message}}, nil)
	checkFieldError(t, err, "messages[0].content: is not valid UTF-8")
}

func TestAppendRequest_NilMessageIsEmpty(t *testing.T) {
	t.Parallel()
	got, err := restjson.AppendFull(nil, &chatv1.ChatCompletion{
		Choices: []*chatv1.Choice{nil},
		Moderation: &chatv1.Moderation{
			Input:  &chatv1.ModerationOutcome{Outcome: &chatv1.ModerationOutcome_ModerationResults{}},
			Output: &chatv1.ModerationOutcome{Outcome: &chatv1.ModerationOutcome_Error{}},
		},
	})
	checkJSON(t, "as a reply", got, err, `{"object":"chat.completion","id":"","created":null,"model":"",`+
		`"choices":[{"index":0,"message":null,"finish_reason":null,"logprobs":null}],`+
		`"moderation":{"input":{"type":"moderation_results","model":"","results":[]},"output":{"type":"error","code":"","message":""}}}`)
	got, err = restjson.AppendFull(nil, &chatv1.ContentPart{Part: &chatv1.ContentPart_ImageUrl{}})
	checkJSON(t, "a part", got, err, `{"type":"image_url","image_url":{"url":""}}`)
}
