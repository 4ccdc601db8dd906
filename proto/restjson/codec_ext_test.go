package restjson_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// codec is a message with a generated codec.
type codec interface {
	proto.Message
	restjson.Decodable
	restjson.Encodable
}

// rule is an example of the mapping of messages to JSON.
type rule struct {
	name string
	kind codec // any message of the kind
	// rest is JSON that decodes to the message. It may be empty.
	rest string
	// typed is the message in Protobuf's text format.
	typed string
	// full is the JSON of the message in a response. Default: rest.
	full string
	// request is the JSON of the message in a request. Default: rest. A dash means
	// that requests do not contain the message.
	request string
}

// rules returns all rules, as seeds of the fuzz targets.
func rules() []rule { return slices.Concat(conventions, extras, unions) }

func checkRules(t *testing.T, rules []rule) {
	t.Helper()
	for _, row := range rules {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			message := typed(t, row.kind, row.typed)
			if row.rest != "" {
				checkMessage(t, read(t, row.kind, row.rest), message)
			}
			full, err := restjson.AppendFull(nil, message)
			checkJSON(t, "as a reply", full, err, either(row.full, row.rest))
			if row.request != "-" {
				request, err := restjson.AppendRequest(nil, message, nil)
				checkJSON(t, "in a request", request, err, either(row.request, row.rest))
			}
		})
	}
}

func either(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}

func checkJSON(t *testing.T, when string, got []byte, err error, want string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", when, err)
	} else if string(got) != want {
		t.Errorf("%s:\ngot  %s\nwant %s", when, got, want)
	}
}

func checkMessage(t *testing.T, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", show(got), show(want))
	}
}

func show(m proto.Message) string {
	return prototext.MarshalOptions{Multiline: true}.Format(m)
}

func blank(kind codec) codec {
	return kind.ProtoReflect().New().Interface().(codec)
}

// typed returns a message parsed from Protobuf's text format.
func typed(tb testing.TB, kind codec, text string) codec {
	tb.Helper()
	message := blank(kind)
	if err := prototext.Unmarshal([]byte(text), message); err != nil {
		tb.Fatal(err)
	}
	return message
}

// read returns a message parsed from JSON.
func read(tb testing.TB, kind codec, text string) codec {
	tb.Helper()
	message := blank(kind)
	if err := restjson.Unmarshal([]byte(text), message); err != nil {
		tb.Fatal(err)
	}
	return message
}

// A nil message of each type.
var (
	aDeleted      = (*chatv1.ChatCompletionDeleted)(nil)
	aList         = (*chatv1.ChatCompletionList)(nil)
	aMessageList  = (*chatv1.ChatCompletionMessageList)(nil)
	anUpdate      = (*chatv1.UpdateChatCompletionRequest)(nil)
	aRequest      = (*chatv1.CreateChatCompletionRequest)(nil)
	aMessage      = (*chatv1.Message)(nil)
	aPart         = (*chatv1.ContentPart)(nil)
	aTool         = (*chatv1.Tool)(nil)
	aToolCall     = (*chatv1.ToolCall)(nil)
	aToolChoice   = (*chatv1.ToolChoice)(nil)
	aFormat       = (*chatv1.ResponseFormat)(nil)
	aCompletion   = (*chatv1.ChatCompletion)(nil)
	aChoice       = (*chatv1.Choice)(nil)
	aTopLogprob   = (*chatv1.TopLogprob)(nil)
	aChunk        = (*chatv1.ChatCompletionChunk)(nil)
	aDelta        = (*chatv1.Delta)(nil)
	aLogprob      = (*chatv1.TokenLogprob)(nil)
	anOutcome     = (*chatv1.ModerationOutcome)(nil)
	aResult       = (*sharedv1.ModerationResult)(nil)
	anAudio       = (*chatv1.Audio)(nil)
	aSpeech       = (*chatv1.AudioParam)(nil)
	aVoice        = (*sharedv1.Voice)(nil)
	aPrediction   = (*chatv1.PredictionContent)(nil)
	aUsage        = (*chatv1.Usage)(nil)
	aCallChoice   = (*chatv1.FunctionCallChoice)(nil)
	aSearch       = (*chatv1.WebSearchOptions)(nil)
	anAnnotation  = (*chatv1.Annotation)(nil)
	aCustomFormat = (*chatv1.CustomToolFormat)(nil)
)
