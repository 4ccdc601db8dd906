package fidelity_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// Instances are changed at random places. Everything arrives: in its field, or in
// extra_json, verbatim and in order. Encoded again, everything is present. What cannot
// be encoded twice is rejected by name.
func TestUnknown_Survives(t *testing.T) {
	t.Parallel()
	d := openapi.Specification(t)
	all := mutators(vocabularyOf(d))
	for _, b := range bodies(t, d) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			counts := make(map[string]int)
			outcome := make(map[string]int)
			run := newCampaign(t, b, 80)
			run.run(
				func(r jsontree.Random, v jsontree.Value) jsontree.Value {
					for range 1 + r.IntN(4) {
						s := jsontree.Pick(r, all...)
						if mutated, did := s.mutateAny(r, v); did {
							v = mutated
							counts[s.name]++
						}
					}
					return v
				},
				func(text []byte) bool { return text[0] == '{' },
				func(text []byte) error {
					how, err := b.survives(text, b.newMessage(t))
					outcome[how]++
					return err
				})
			t.Logf("%v; mutations %v", outcome, counts)
			for _, s := range all {
				if run.isComplete() && counts[s.name] == 0 && b.has(s) {
					t.Errorf("no instance was changed by %s", s.name)
				}
			}
		})
	}
}

// has reports whether instances of the body can be changed in this way. Some bodies
// have no list, no number, and no tag.
func (b *body) has(s mutator) bool {
	switch s.name {
	case "null in a list", "a number that no type holds", "a missing tag", "an unknown tag", "an unknown value of an enum":
		return b.name != "ErrorResponse" && b.name != "UpdateChatCompletionRequest" && b.name != "ChatCompletionDeleted"
	default:
		return true
	}
}

// survives checks an object by decoding it into m. It returns the outcome.
func (b *body) survives(text []byte, m codec) (string, error) {
	in, err := jsontree.Parse(text)
	if err != nil {
		return "", err
	}
	if err := restjson.Unmarshal(text, m); err != nil {
		return "", fmt.Errorf("REST to typed: %w", err)
	}
	if err := same(in, m.ProtoReflect(), received); err != nil {
		return "", fmt.Errorf("REST to typed: %w", err)
	}
	outcome := "arrived"
	for _, enc := range []encoding{reply, request} {
		if enc == request && b.enc != request {
			continue
		}
		rejected, err := arrives(m, enc)
		if err != nil {
			return "", err
		}
		if rejected {
			outcome = "rejected"
		}
	}
	return outcome, nil
}

// arrives checks that a message is encoded completely, or rejected for a reason.
func arrives(m codec, enc encoding) (rejected bool, err error) {
	var text []byte
	if enc == request {
		text, err = restjson.AppendRequest(nil, m, nil)
	} else {
		text, err = restjson.AppendFull(nil, m)
	}
	if because := justified(err, m.ProtoReflect(), enc); because != nil || err != nil {
		return true, because
	}
	out, err := jsontree.Parse(text)
	if err != nil {
		return false, fmt.Errorf("typed to REST: %w in %s", err, text)
	}
	if err := same(out, m.ProtoReflect(), enc); err != nil {
		return false, fmt.Errorf("typed to REST: %w in %.2000s", err, text)
	}
	return false, nil
}

// Values nested up to the limit and beyond.
func TestDepth_LimitOfDecoding(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	array := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	object := func(depth int) string {
		return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat("}", depth-1)
	}
	for _, row := range []struct {
		name    string
		message codec
		text    func(depth int) string // an object of this depth
	}{
		{"an unknown field", new(chatv1.ChatCompletion), func(n int) string { return `{"x":` + array(n-1) + `}` }},
		{"a known field of another type", new(chatv1.ChatCompletion), func(n int) string { return `{"model":` + object(n-1) + `}` }},
		{"a list that doesn't fit", new(chatv1.ChatCompletion), func(n int) string { return `{"choices":[{"index":0},` + array(n-2) + `]}` }},
		{"a nested field", new(chatv1.ChatCompletion), func(n int) string { return `{"choices":[{"message":{"x":` + array(n-4) + `}}]}` }},
		{"raw JSON", new(chatv1.FunctionTool), func(n int) string { return `{"name":"f","parameters":` + object(n-1) + `}` }},
		{"a union of an unknown kind", new(chatv1.ContentPart), func(n int) string { return `{"type":"x","x":` + array(n-1) + `}` }},
		{"a field before the tag of a union", new(chatv1.ContentPart), func(n int) string { return `{"x":` + array(n-1) + `,"type":"text","text":"a"}` }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text := row.text(limit)
			in := mustParse(t, text)
			m, _ := row.message.ProtoReflect().New().Interface().(codec)
			if err := restjson.Unmarshal([]byte(text), m); err != nil {
				t.Fatal(err)
			}
			if err := same(in, m.ProtoReflect(), received); err != nil {
				t.Error(err)
			}
			if rejected, err := arrives(m, reply); rejected || err != nil {
				t.Errorf("got rejected: %v, error: %v", rejected, err)
			}
			deeper, _ := row.message.ProtoReflect().New().Interface().(codec)
			err := restjson.Unmarshal([]byte(row.text(limit+1)), deeper)
			if err == nil || !strings.Contains(err.Error(), "too many nested objects and arrays (maximum 10000)") {
				t.Errorf("got error %v, want the limit", err)
			}
		})
	}
}

// JSON in extra_json and in other JSON text fields.
func TestDepth_LimitOfEncoding(t *testing.T) {
	t.Parallel()
	text := func(depth int) string { return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat("}", depth-1) }
	for _, row := range []struct {
		name    string
		message func(text string) codec
		want    string
	}{
		{"extra_json", func(text string) codec { return &chatv1.UpdateChatCompletionRequest{ExtraJson: text} }, "extra_json: must be the text of one JSON object: "},
		{"raw JSON", func(text string) codec { return &chatv1.FunctionTool{ParametersJson: text} }, "parameters_json: must be the text of one JSON object: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := restjson.AppendRequest(nil, row.message(text(10_000)), nil); err != nil {
				t.Error(err)
			}
			_, err := restjson.AppendRequest(nil, row.message(text(10_001)), nil)
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || !strings.Contains(err.Error(), "(maximum 10000)") {
				t.Errorf("got error %.500v, want the limit", err)
			}
		})
	}
}

// Random messages, not decoded from JSON, with all values of their types.
func TestRoundTrip_RandomMessages(t *testing.T) {
	t.Parallel()
	for _, b := range bodies(t, openapi.Specification(t)) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				m := b.newMessage(t)
				fill(randomOf(seed, 7), m.ProtoReflect())
				if rejected, err := arrives(m, reply); rejected || err != nil {
					t.Fatalf("got rejected: %v, error: %v: %v", rejected, err, m)
				}
				text, err := restjson.AppendFull(nil, m)
				if err != nil {
					t.Fatal(err)
				}
				again := b.newMessage(t)
				if err := restjson.Unmarshal(text, again); err != nil {
					t.Fatalf("%v in %s", err, text)
				}
				if !proto.Equal(m, again) {
					t.Fatalf("%v\nbecame %s\nand then %v", m, text, again)
				}
			}
		})
	}
}
