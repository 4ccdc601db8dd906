package restjson_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// TestUnmarshaler_MatchesUnmarshal reads every recorded stream, and all of them with
// one Unmarshaler. Reading a message must not change previous ones.
func TestUnmarshaler_MatchesUnmarshal(t *testing.T) {
	t.Parallel()
	streams, err := filepath.Glob("../../server/internal/streamtest/streams/*.sse")
	if err != nil || len(streams) == 0 {
		t.Fatalf("there are no recorded streams, and the error %v", err)
	}
	var u restjson.Unmarshaler
	var buffer []byte
	var got, want []*chatv1.ChatCompletionChunk
	for _, name := range streams {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == '\r' || r == '\n' }) {
			data, _ := strings.CutPrefix(line, "data:")
			one, other := new(chatv1.ChatCompletionChunk), new(chatv1.ChatCompletionChunk)
			buffer = append(buffer[:0], data...) // as an event's buffer, which is used again
			oneErr, otherErr := u.Unmarshal(buffer, one), restjson.Unmarshal([]byte(data), other)
			if (oneErr == nil) != (otherErr == nil) || oneErr != nil && oneErr.Error() != otherErr.Error() {
				t.Errorf("%s: got the error %v, want %v", data, oneErr, otherErr)
			}
			got, want = append(got, one), append(want, other)
		}
	}
	for i := range got {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
}

func TestUnmarshaler_ReusesRepeatedStrings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("m", 100)
	for _, row := range []struct {
		name, before, text string
		id, model          bool // whether they are the strings of the message before
	}{
		{"strings that repeat", `{"id":"a1","model":"m1"}`, `{"id":"a1","model":"m1"}`, true, true},
		{"one that changes", `{"id":"a1","model":"m1"}`, `{"id":"a2","model":"m1"}`, false, true},
		{"other values between them", `{"id":"a1","model":"m1"}`, `{"id":"a1","created":1,"model":"m1","choices":[]}`, true, true},
		{"another order", `{"id":"a1","model":"m1"}`, `{"model":"m1","id":"a1"}`, false, false},
		{"a long one is not kept", `{"id":"a1","model":"` + long + `"}`, `{"id":"a1","model":"` + long + `"}`, true, false},
		{"after invalid JSON", `{"id":"a1","model":"m1"`, `{"id":"a1","model":"m1"}`, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var u restjson.Unmarshaler
			var before, m chatv1.ChatCompletionChunk
			_ = u.Unmarshal([]byte(row.before), &before)
			if err := u.Unmarshal([]byte(row.text), &m); err != nil {
				t.Fatal(err)
			}
			if same(before.GetId(), m.GetId()) != row.id {
				t.Errorf("the id is reused: %v, want %v", !row.id, row.id)
			}
			if same(before.GetModel(), m.GetModel()) != row.model {
				t.Errorf("the model is reused: %v, want %v", !row.model, row.model)
			}
		})
	}
}

// same reports whether two strings share memory.
func same(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

func TestUnmarshaler_OptionalFieldsAreIndependent(t *testing.T) {
	t.Parallel()
	var u restjson.Unmarshaler
	var messages [3]chatv1.ChatCompletionChunk
	for i, text := range []string{
		`{"choices":[{"delta":{"content":"a","refusal":"b"}}],"system_fingerprint":"c","usage":{"prompt_tokens":1,"total_tokens":2}}`,
		`{"choices":[{"delta":{"content":"d","refusal":5}}],"system_fingerprint":"f","usage":{"prompt_tokens":3,"total_tokens":"x"}}`,
		`{"choices":[{"delta":{"content":"g","refusal":"h"}}],"system_fingerprint":"i","usage":{"prompt_tokens":5,"total_tokens":6}}`,
	} {
		if err := u.Unmarshal([]byte(text), &messages[i]); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[any]bool)
	for i := range messages {
		delta, usage := messages[i].GetChoices()[0].GetDelta(), messages[i].GetUsage()
		for _, p := range []any{delta.Content, delta.Refusal, messages[i].SystemFingerprint, usage.PromptTokens, usage.TotalTokens} { //nolint:staticcheck // deprecated, and sent
			if p != (*string)(nil) && p != (*int32)(nil) && seen[p] {
				t.Errorf("message %d has a field of another one", i)
			}
			seen[p] = true
		}
	}
	if got := messages[0].GetChoices()[0].GetDelta().GetContent() + messages[1].GetChoices()[0].GetDelta().GetContent(); got != "ad" {
		t.Errorf("the contents are %q", got)
	}
}
