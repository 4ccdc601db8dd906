package restjson_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
)

func TestUnaryVariant_ConvertsToChunk(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, whole, piece string
		isUnary            bool
	}{
		{
			"a completion",
			`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"x":1}`,
			`{"id":"c","object":null,"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"x":1}`, true,
		},
		{
			"white space and a byte order mark", "\ufeff { \"choices\" : [ { \"message\" : { } } ] } ",
			"\ufeff { \"choices\" : [ { \"delta\" : { } } ] } ", true,
		},
		{
			"tool calls",
			`{"choices":[{"message":{"tool_calls":[{"id":"a"},{"index":5,"id":"b"},{},{"function":{"message":{}}},7]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"},{"index":5,"id":"b"},{"index":2},{"index":3,"function":{"message":{}}},7]}}]}`, true,
		},
		{"several choices", `{"choices":[{"message":{}},{"message":{}}]}`, `{"choices":[{"delta":{}},{"delta":{}}]}`, true},
		{"a name with escapes", `{"choices":[{"mess\u0061ge":{}}]}`, `{"choices":[{"delta":{}}]}`, true},
		{"the names elsewhere", `{"message":{},"a":{"choices":[{"message":{}}]},"choices":[]}`, `{"message":{},"a":{"choices":[{"message":{}}]},"choices":[]}`, true},
		{"a piece that is null", `{"choices":[{"delta":null,"message":{"content":"a"}}]}`, `{"choices":[{"message":null,"delta":{"content":"a"}}]}`, true},
		{"another kind of object", `{"object":"x","choices":[{"message":{}}]}`, `{"object":"x","choices":[{"delta":{}}]}`, true},
		{"a piece", `{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"a"}}]}`, false},
		{"a piece beside the whole", `{"choices":[{"message":{"content":"ab"},"delta":{"content":"b"}}]}`, `{"choices":[{"message":{"content":"ab"},"delta":{"content":"b"}}]}`, false},
		{"a whole that is not an object", `{"choices":[{"message":"a"},7]}`, `{"choices":[{"message":"a"},7]}`, false},
		{"two wholes", `{"choices":[{"message":{},"message":{}}]}`, `{"choices":[{"message":{},"message":{}}]}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, isUnary, err := operation(t, "StreamChatCompletion").Stream.UnaryVariant.AppendChunk(nil, []byte(row.whole))
			if err != nil || string(got) != row.piece || isUnary != row.isUnary {
				t.Errorf("got  %s, %v, %v\nwant %s", got, isUnary, err, row.piece)
			}
		})
	}
}

func TestUnaryVariant_ReportsSyntaxErrors(t *testing.T) {
	t.Parallel()
	whole := operation(t, "StreamChatCompletion").Stream.UnaryVariant
	for text, want := range map[string]string{
		`[]`:                            "malformed JSON at byte 0: expected an object",
		`{} {}`:                         "malformed JSON at byte 3: unexpected data after the value",
		`{"choices":[{"message":{x}}]}`: "malformed JSON at byte 24, in choices[0].message: expected a string",
	} {
		got, _, err := whole.AppendChunk([]byte("a"), []byte(text))
		if err == nil || err.Error() != want || string(got) != "a" {
			t.Errorf("%s: got %q, %v, want %s", text, got, err, want)
		}
	}
}

// FuzzAppendChunk compares the conversion of a completion with one that uses
// encoding/json.
func FuzzAppendChunk(f *testing.F) {
	seed(f, aCompletion)
	f.Add([]byte(`{"object":"chat.completion","choices":[{"message":{"tool_calls":[{},{"index":1}]}},{"delta":null,"message":{}},{"delta":{}}]}`))
	whole := operation(f, "StreamChatCompletion").Stream.UnaryVariant
	f.Fuzz(func(t *testing.T, text []byte) {
		got, _, err := whole.AppendChunk(nil, text)
		if want := accepted(text); want != (err == nil) {
			t.Fatalf("got %v, want valid=%v", err, want)
		}
		if err != nil {
			return
		}
		if err := restjson.Unmarshal(got, new(chatv1.ChatCompletionChunk)); err != nil {
			t.Fatal(err)
		}
		text, got = strict(text, `"&"`), strict(got, `"&"`)
		if repeats, err := restjsontest.Repeats(text); err != nil || repeats {
			return
		}
		var want, have any
		if err := json.Unmarshal(text, &want); err != nil {
			return // A number beyond the range of doubles.
		}
		if err := json.Unmarshal(got, &have); err != nil {
			t.Fatalf("%v in %s", err, got)
		}
		if toChunk(want); !reflect.DeepEqual(want, have) {
			t.Fatalf("got  %s\nwant %v", got, want)
		}
	})
}

// toChunk converts a completion to a chunk.
func toChunk(completion any) {
	object, _ := completion.(map[string]any)
	if object["object"] == "chat.completion" {
		object["object"] = nil
	}
	choices, _ := object["choices"].([]any)
	for _, item := range choices {
		choice, _ := item.(map[string]any)
		message, ok := choice["message"].(map[string]any)
		if delta, has := choice["delta"]; !ok || delta != nil {
			continue
		} else if delete(choice, "message"); has {
			choice["message"] = nil
		}
		choice["delta"] = message
		calls, _ := message["tool_calls"].([]any)
		for i, item := range calls {
			if call, ok := item.(map[string]any); ok {
				if _, has := call["index"]; !has {
					call["index"] = float64(i)
				}
			}
		}
	}
}

// TestUnaryVariant_TakesLinearTime converts a response with many items, whose members
// are read twice.
func TestUnaryVariant_TakesLinearTime(t *testing.T) {
	t.Parallel()
	whole := operation(t, "StreamChatCompletion").Stream.UnaryVariant
	const n = 100_000
	text := `{"choices":[` + strings.Repeat(`{"message":{"tool_calls":[{}]}},`, n) + `{}]}`
	got, _, err := whole.AppendChunk(nil, []byte(text))
	if err != nil || strings.Count(string(got), fmt.Sprintf(`"index":%d`, 0)) != n {
		t.Errorf("got %v", err)
	}
}
