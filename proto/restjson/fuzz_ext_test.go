package restjson_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
)

func FuzzUnmarshalChatCompletion(f *testing.F) {
	seed(f, aCompletion)
	f.Fuzz(func(t *testing.T, text []byte) { checkRoundTrip(t, text, new(chatv1.ChatCompletion)) })
}

func FuzzUnmarshalChatCompletionChunk(f *testing.F) {
	seed(f, aChunk)
	seedEvents(f)
	f.Fuzz(func(t *testing.T, text []byte) { checkRoundTrip(t, text, new(chatv1.ChatCompletionChunk)) })
}

func FuzzUnmarshalCreateChatCompletionRequest(f *testing.F) {
	seed(f, aRequest)
	f.Fuzz(func(t *testing.T, text []byte) { checkRoundTrip(t, text, new(chatv1.CreateChatCompletionRequest)) })
}

func FuzzUnmarshalChatCompletionMessageList(f *testing.F) {
	seed(f, aMessageList)
	f.Fuzz(func(t *testing.T, text []byte) { checkRoundTrip(t, text, new(chatv1.ChatCompletionMessageList)) })
}

// around is the path of a message in a larger one. An element of the path is
// `member`, or `member[]` for a list.
var around = map[codec]map[codec]string{
	aCompletion: {
		aCompletion: "", aChoice: "choices[]", aMessage: "choices[].message", aToolCall: "choices[].message.tool_calls[]",
		anAudio: "choices[].message.audio", anAnnotation: "choices[].message.annotations[]", aLogprob: "choices[].logprobs.content[]",
		aUsage: "usage", anOutcome: "moderation.input", aResult: "moderation.output.results[]",
	},
	aChunk: {
		aChunk: "", aDelta: "choices[].delta", aLogprob: "choices[].logprobs.refusal[]", aUsage: "usage", anOutcome: "moderation.output",
	},
	aRequest: {
		aRequest: "", aMessage: "messages[]", aPart: "messages[].content[]", aToolCall: "messages[].tool_calls[]", aTool: "tools[]",
		aCustomFormat: "tools[].custom.format", aToolChoice: "tool_choice", aFormat: "response_format", aSpeech: "audio", aVoice: "audio.voice",
		aPrediction: "prediction", aCallChoice: "function_call", aSearch: "web_search_options",
	},
	aMessageList: {aMessageList: "", aMessage: "data[]", aPart: "data[].content_parts[]"},
}

// seed adds the JSON of all rules that apply to the message.
func seed(f *testing.F, whole codec) {
	f.Helper()
	for _, row := range rules() {
		path, ok := around[whole][row.kind]
		for _, text := range []string{row.rest, row.full, row.request} {
			if ok && strings.HasPrefix(text, "{") {
				f.Add([]byte(wrap(path, text)))
			}
		}
	}
	for _, row := range wellFormed {
		f.Add([]byte(row.text))
	}
	if path, ok := around[whole][aLogprob]; ok {
		f.Add([]byte(wrap(path, `{"token":"a","logprob":-Infinity,"bytes":[NaN],"top_logprobs":[{"token":NaN,"logprob":"NaN"}],"x":Infinity}`)))
	}
	for _, row := range malformed {
		f.Add([]byte(row.text))
	}
}

// seedEvents adds the data of recorded event streams, line by line.
func seedEvents(f *testing.F) {
	f.Helper()
	streams, err := filepath.Glob("../../server/internal/streamtest/streams/*.sse")
	if err != nil || len(streams) == 0 {
		f.Fatalf("there are no recorded streams, and the error %v", err)
	}
	for _, name := range streams {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\r' || r == '\n' }) {
			if data, ok := strings.CutPrefix(line, "data:"); ok {
				f.Add([]byte(data))
			}
		}
	}
}

func wrap(path, text string) string {
	if path == "" {
		return text
	}
	for _, cell := range slices.Backward(strings.Split(path, ".")) {
		if name, isList := strings.CutSuffix(cell, "[]"); isList {
			text = `{"` + name + `":[` + text + `]}`
		} else {
			text = `{"` + cell + `":` + text + `}`
		}
	}
	return text
}

// checkRoundTrip reads text as the message. A JSON object must round-trip without
// loss, and other text must be rejected.
func checkRoundTrip(t *testing.T, text []byte, message codec) {
	t.Helper()
	err := restjson.Unmarshal(text, message)
	if want := accepted(text); want != (err == nil) {
		t.Fatalf("got %v, want valid=%v", err, want)
	}
	if err != nil {
		syntaxError(t, err)
		return
	}
	checkExtras(t, message.ProtoReflect())
	if _, err := proto.Marshal(message); err != nil {
		t.Fatal(err)
	}
	if request, err := restjson.AppendRequest(nil, message, nil); err == nil && !json.Valid(request) {
		t.Fatalf("the request is %s", request)
	}
	text = strict(text, `"&"`)
	repeats, err := restjsontest.Repeats(text)
	if err != nil {
		t.Fatal(err)
	}
	full, err := restjson.AppendFull(nil, message)
	if repeats {
		// What repeats is kept, but may conflict with the field on the way back.
		if err == nil && !json.Valid(full) {
			t.Fatalf("the reply is %s", full)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := restjsontest.Kept(text, full); err != nil {
		t.Fatalf("%v\nin  %s\nout %s", err, text, full)
	}
	again := blank(message)
	if err := restjson.Unmarshal(full, again); err != nil {
		t.Fatal(err)
	}
	// A non-finite number that became a string matches a string field.
	want := blank(message)
	if err := restjson.Unmarshal(text, want); err != nil {
		t.Fatal(err)
	}
	checkMessage(t, again, want)
}

// checkExtras checks every extra_json of a message.
func checkExtras(t *testing.T, message protoreflect.Message) {
	t.Helper()
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Name() == "extra_json":
			checkExtra(t, value.String())
		case field.IsMap():
			value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				if field.MapValue().Message() != nil {
					checkExtras(t, value.Message())
				}
				return true
			})
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				checkExtras(t, value.List().Get(i).Message())
			}
		default:
			checkExtras(t, value.Message())
		}
		return true
	})
}

// FuzzAppendRequest writes any valid Protobuf request. It must be written without
// loss or fail with an error that names the field.
func FuzzAppendRequest(f *testing.F) {
	for _, row := range rules() {
		if row.kind == codec(aRequest) {
			data, err := proto.Marshal(typed(f, aRequest, row.typed))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		request := new(chatv1.CreateChatCompletionRequest)
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, request) != nil {
			return
		}
		text, err := restjson.AppendRequest(nil, request, []restjson.Constant{{Name: "stream", JSON: "true"}})
		if err != nil {
			checkIsFieldError(t, err)
			return
		}
		repeats, err := restjsontest.Repeats(text)
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		back := new(chatv1.CreateChatCompletionRequest)
		if err := restjson.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if !normalize(request.ProtoReflect()) {
			want := request
			want.ExtraJson = `{"stream":true}`
			checkMessage(t, back, want)
		}
		full, err := restjson.AppendFull(nil, back)
		if repeats { // in an extra_json of the caller's own
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := restjsontest.Kept(text, full); err != nil {
			t.Fatalf("%v\nin  %s\nout %s", err, text, full)
		}
	})
}

// normalize removes what does not round-trip from a request: output-only fields and
// the white space around free-form JSON. It reports whether there is an
// extra_json, whose members may become fields.
func normalize(message protoreflect.Message) (hasExtra bool) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		option, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member)
		isJSON := option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT
		trim := func(v protoreflect.Value) protoreflect.Value {
			return protoreflect.ValueOfString(strings.Trim(v.String(), " \t\r\n"))
		}
		switch {
		case option.GetOutputOnly():
			message.Clear(field)
		case field.Name() == "extra_json":
			hasExtra = true
		case isJSON && field.IsList():
			for i := range value.List().Len() {
				value.List().Set(i, trim(value.List().Get(i)))
			}
		case isJSON:
			message.Set(field, trim(value))
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				hasExtra = normalize(value.List().Get(i).Message()) || hasExtra
			}
		default:
			hasExtra = normalize(value.Message()) || hasExtra
		}
		return true
	})
	return hasExtra
}
