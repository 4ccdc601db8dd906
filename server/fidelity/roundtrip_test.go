package fidelity_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// unreachable are parts of the specification that no instance can contain.
var unreachable = map[string]string{
	"#/components/schemas/ModelResponseProperties/properties/top_logprobs/anyOf/1": "another description of the member leaves no null",
}

// Generated instances of every body round-trip without a difference. The encoded JSON
// is legal and has no additional fields. The instances cover the whole specification
// and set every field.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	d := openapi.Specification(t)
	c := cover(d)
	var mutex sync.Mutex
	filled, whole, most := make(map[protoreflect.FullName]bool), true, 0
	t.Run("body", func(t *testing.T) {
		for _, b := range bodies(t, d) {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				run, set := b.roundTrips(t, c.carriers)
				mutex.Lock()
				defer mutex.Unlock()
				whole = whole && run.isComplete()
				most = max(most, run.most)
				maps.Copy(filled, set)
			})
		}
	})
	if !whole || t.Failed() {
		return
	}
	for name, u := range c.uses {
		if !filled[name] && !u.isParameter {
			t.Errorf("%s was never set", name)
		}
	}
	if most < 1<<20 {
		t.Errorf("got %d bytes in the largest instance; want megabytes", most)
	}
}

// roundTrips runs a campaign and returns the fields that were set. The carriers are
// those of [coverage].
func (b *body) roundTrips(t *testing.T, carriers map[string]string) (*campaign, map[protoreflect.FullName]bool) {
	t.Helper()
	run := newCampaign(t, b, 300)
	filled := make(map[protoreflect.FullName]bool)
	run.run(asGenerated, b.isLegal, func(text []byte) error {
		m := b.newMessage(t)
		if err := b.roundTrip(text, m); err != nil {
			return err
		}
		noteFields(m.ProtoReflect(), filled)
		return nil
	})
	if !run.isComplete() {
		return run, filled
	}
	for _, pointer := range openapi.Parts(b.schema) {
		isOneOfMany := carriers[pointer] == byOpenSet && run.count < 10_000
		if run.generator.Reached[pointer] == 0 && unreachable[pointer] == "" && !isOneOfMany {
			t.Errorf("no instance contains %s", pointer)
		}
	}
	return run, filled
}

// asGenerated returns an instance unchanged.
func asGenerated(_ jsontree.Random, v jsontree.Value) jsontree.Value { return v }

// isLegal reports whether text is an instance of the schema.
func (b *body) isLegal(text []byte) bool { return b.validator.Check(text) == nil }

// roundTrip checks a legal instance by decoding it into m.
func (b *body) roundTrip(text []byte, m codec) error {
	in, err := jsontree.Parse(text)
	if err != nil {
		return err
	}
	if err := restjson.Unmarshal(text, m); err != nil {
		return fmt.Errorf("REST to typed: %w", err)
	}
	if err := same(in, m.ProtoReflect(), received); err != nil {
		return fmt.Errorf("REST to typed: %w", err)
	}
	full, err := restjson.AppendFull(nil, m)
	if err != nil {
		return fmt.Errorf("typed to REST: %w", err)
	}
	out, err := jsontree.Parse(full)
	if err != nil {
		return fmt.Errorf("typed to REST: %w in %s", err, full)
	}
	if err := same(out, m.ProtoReflect(), reply); err != nil {
		return fmt.Errorf("typed to REST: %w", err)
	}
	if b.enc == request {
		return b.requestTrip(in, m)
	}
	return b.legal(in, out, full)
}

// requestTrip checks the request that is sent upstream.
func (b *body) requestTrip(in jsontree.Value, m codec) error {
	sent, err := restjson.AppendRequest(nil, m, nil)
	if because := justified(err, m.ProtoReflect(), request); because != nil || err != nil {
		return because
	}
	out, err := jsontree.Parse(sent)
	if err != nil {
		return fmt.Errorf("typed to request: %w in %s", err, sent)
	}
	if err := same(out, m.ProtoReflect(), request); err != nil {
		return fmt.Errorf("typed to request: %w", err)
	}
	for name, decided := range b.decided {
		if err := checkDecided(sent, m, decided); err != nil {
			return fmt.Errorf("typed to request of %s: %w", name, err)
		}
	}
	return b.legal(in, out, sent)
}

// checkDecided checks that a request has the fields that its RPC sets, in extra_json
// or added, and that conflicting or repeated values in extra_json are rejected.
func checkDecided(otherwise []byte, m codec, decided []restjson.Constant) error {
	sent, err := restjson.AppendRequest(nil, m, decided)
	want := bytes.Clone(otherwise[:len(otherwise)-1])
	for _, c := range decided {
		said := extraValues(m, c.Name)
		switch {
		case len(said) == 1 && (said[0] == c.JSON || slices.Contains(c.Equivalent, said[0])):
		case len(said) > 0:
			rejected, ok := errors.AsType[*restjson.FieldError](err)
			if !ok || rejected.Path != "extra_json" || !strings.Contains(rejected.Reason, `"`+c.Name+`"`) {
				return fmt.Errorf("got error %[2]w, want a rejection of %[1]s", c.Name, err)
			}
			return nil
		case c.JSON != "":
			want = append(want, `,"`+c.Name+`":`+c.JSON...)
		}
	}
	if err != nil {
		return err
	}
	if want = append(want, '}'); !bytes.Equal(sent, want) {
		return fmt.Errorf("got %[2]s, want %[1]s", want, sent)
	}
	return nil
}

// extraValues returns the values of a field in extra_json, as JSON.
func extraValues(m codec, name string) (values []string) {
	extra, err := jsontree.Parse([]byte(extraJSON(m)))
	if err != nil { // extra_json is empty.
		return nil
	}
	for _, member := range extra.Members {
		if jsontree.Unquote(member.Name) == name {
			values = append(values, member.Value.Text)
		}
	}
	return values
}

func extraJSON(m codec) string {
	return m.ProtoReflect().Get(mappingOf(m.ProtoReflect().Descriptor()).remainder).String()
}

// legal checks that encoded JSON is legal and has no additional fields.
func (b *body) legal(in, out jsontree.Value, text []byte) error {
	if err := b.validator.Check(text); err != nil {
		return fmt.Errorf("encoded JSON is not legal: %w", err)
	}
	if name := added(in, out); name != "" {
		return fmt.Errorf("encoded JSON has the unexpected field %s", name)
	}
	return nil
}

// added returns the path of a field in out that in lacks, or "".
func added(in, out jsontree.Value) string {
	if in.Text == out.Text {
		return ""
	}
	for i := range min(len(in.Items), len(out.Items)) {
		if path := added(in.Items[i], out.Items[i]); path != "" {
			return fmt.Sprintf("[%d]%s", i, path)
		}
	}
	for _, member := range out.Members {
		name := jsontree.Unquote(member.Name)
		was, has := in.Find(name)
		if !has {
			return "." + name
		}
		if path := added(was, member.Value); path != "" {
			return "." + name + path
		}
	}
	return ""
}

// noteFields records the fields that are set in a message and its submessages.
func noteFields(m protoreflect.Message, filled map[protoreflect.FullName]bool) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		filled[field.FullName()] = true
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				noteFields(value.Message(), filled)
				return true
			})
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				noteFields(value.List().Get(i).Message(), filled)
			}
		default:
			noteFields(value.Message(), filled)
		}
		return true
	})
}

func TestAdded(t *testing.T) {
	t.Parallel()
	in := mustParse(t, `{"a":[{"b":1}],"c":{"d":null}}`)
	for text, want := range map[string]string{
		`{"a":[{"b":2}]}`:          "",
		`{"a":[{"b":1,"e":null}]}`: ".a[0].e",
		`{"c":{"d":1,"e":[]}}`:     ".c.e",
		`{"f":null}`:               ".f",
	} {
		if got := added(in, mustParse(t, text)); got != want {
			t.Errorf("%s: got %[3]q, want %[2]q", text, want, got)
		}
	}
}

// Every message of a generated reply is legal in a request.
func TestRoundTrip_ReplyMessageIsValidInRequest(t *testing.T) {
	t.Parallel()
	all := bodies(t, openapi.Specification(t))
	find := func(name string) *body {
		for _, b := range all {
			if b.name == name {
				return b
			}
		}
		t.Fatalf("no body %s", name)
		return nil
	}
	next := find("CreateChatCompletionRequest")
	b := find("ChatCompletion")
	sent := 0
	newCampaign(t, b, 50).run(asGenerated, b.isLegal,
		func(text []byte) error {
			completion := new(chatv1.ChatCompletion)
			if err := restjson.Unmarshal(text, completion); err != nil {
				return err
			}
			for _, choice := range completion.GetChoices() {
				if hasExtra(choice.GetMessage().ProtoReflect()) {
					continue // Unknown fields are sent, even if they are not legal.
				}
				sent++
				body, err := restjson.AppendRequest(nil, &chatv1.CreateChatCompletionRequest{
					Model: "m", Messages: []*chatv1.Message{choice.GetMessage()},
				}, nil)
				if err != nil {
					return err
				}
				if err := next.validator.Check(body); err != nil {
					return fmt.Errorf("%w: %s", err, body)
				}
			}
			return nil
		})
	if sent == 0 {
		t.Error("got no message")
	}
}

// hasExtra reports whether a message or a submessage has extra_json.
func hasExtra(m protoreflect.Message) bool {
	filled := make(map[protoreflect.FullName]bool)
	noteFields(m, filled)
	for name := range filled {
		if name.Name() == "extra_json" {
			return true
		}
	}
	return false
}

// The validator must reject requests that are not legal.
func TestRoundTrip_ValidatorRejectsIllegalRequests(t *testing.T) {
	t.Parallel()
	var check *openapi.Validator
	for _, b := range bodies(t, openapi.Specification(t)) {
		if b.name == "CreateChatCompletionRequest" {
			check = b.validator
		}
	}
	const legal = `{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"x":1}}}],` +
		`"stop":["a"],"metadata":{"a":"b"},"response_format":{"type":"text"},"tool_choice":"auto","audio":null,"store":null,"temperature":null}`
	if err := check.Check([]byte(legal)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, old, changed string }{
		{"a misspelled parameter", `"stop"`, `"stops"`},
		{"a misspelled field of a tool", `"parameters"`, `"parametres"`},
		{"a misspelled enum value", `"auto"`, `"atuo"`},
		{"a misspelled tag", `"function",`, `"funktion",`},
		{"an unknown role", `"user"`, `"critic"`},
		{"null where it isn't legal", `"auto"`, `null`},
		{"null for a message's content", `"content":"a"`, `"content":null`},
		{"a number for a string", `"content":"a"`, `"content":5`},
		{"a string for a number", `"temperature":null`, `"temperature":"1"`},
		{"a number out of range", `"temperature":null`, `"temperature":2.5`},
		{"a fraction for an integer", `"temperature":null`, `"n":1.5`},
		{"a field of a closed map's value", `"a":"b"`, `"a":{"b":1}`},
		{"a payload in the wrong field", `"function":{"name"`, `"custom":{"name"`},
		{"a required field is missing", `"name":"f",`, ``},
		{"a required parameter is missing", `"model":"m",`, ``},
		{"an empty list where one is not legal", `"stop":["a"]`, `"stop":[]`},
		{"a field that only replies have", `"content":"a"`, `"content":"a","id":"x"`},
		{"a field next to a payload", `"type":"text"`, `"type":"text","text":{}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(legal, row.old, row.changed, 1)
			if text == legal {
				t.Fatal("nothing was changed")
			}
			if err := check.Check([]byte(text)); err == nil {
				t.Errorf("validator accepts %s", text)
			}
		})
	}
}

// The generator produces legal instances only.
func TestRoundTrip_InstancesAreLegal(t *testing.T) {
	t.Parallel()
	for _, b := range bodies(t, openapi.Specification(t)) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			newCampaign(t, b, 30).run(asGenerated, func([]byte) bool { return true }, b.validator.Check)
		})
	}
}
