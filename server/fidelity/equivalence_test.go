package fidelity_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// encoding is the origin of a JSON text.
type encoding int

const (
	received encoding = iota // by an upstream; the message was decoded from it
	reply                    // by the encoder, with all fields
	request                  // by the encoder, without output-only fields
)

// same returns an error if a JSON value and a message differ. They are equal if each
// JSON field is in the message once, and the message contains nothing else. A JSON
// field is in the Protobuf field that carries it, with the same value, or, if no field
// can carry it, in extra_json, verbatim and in order. An encoded text may repeat a
// field after null.
//
// Null, an empty list or map, and an absent field are equal. Constants and the tag of
// a union have no Protobuf field.
func same(v jsontree.Value, m protoreflect.Message, e encoding) error {
	in := mappingOf(m.Descriptor())
	switch {
	case in.array != nil:
		return sameField(v, m, *in.array, e)
	case v.Kind == jsontree.Object:
		c := comparison{in: in, m: m, e: e, object: v, matched: make(map[protoreflect.FullName]bool)}
		return c.compare()
	case in.bare == nil || !m.Has(in.bare.field) || m.Get(in.remainder).String() != "":
		return differ(v, m)
	default:
		return sameOne(v, m.Get(in.bare.field), *in.bare, e)
	}
}

// comparison compares one object with one message.
type comparison struct {
	in      *mapping
	m       protoreflect.Message
	e       encoding
	object  jsontree.Value
	matched map[protoreflect.FullName]bool // fields with a JSON field
}

func (c *comparison) compare() error {
	extra, err := extraMembers(c.m, c.in)
	if err != nil {
		return err
	}
	for i, member := range c.object.Members {
		inExtra := len(extra) > 0 && extra[0].Text == member.Text
		if inExtra && (c.e != received || c.isExtra(i)) {
			extra = extra[1:]
			continue
		}
		if err := c.typed(jsontree.Unquote(member.Name), member.Value); err != nil {
			if inExtra {
				return fmt.Errorf("%s: is in extra_json, but a field can carry it", member.Name)
			}
			return fmt.Errorf("%s: %w", member.Name, err)
		}
	}
	if len(extra) > 0 {
		return fmt.Errorf("extra_json has %s, which the JSON lacks or has in another order", extra[0].Text)
	}
	c.m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		s := newSlot(field)
		hasMember := field != c.in.remainder && !s.option.GetTypedOnly() && (c.e != request || !s.option.GetOutputOnly())
		if !c.matched[field.FullName()] && hasMember && isSet(c.m, s) {
			err = fmt.Errorf("%s: is set, but the JSON has no such field", field.Name())
		}
		return err == nil
	})
	return err
}

// typed compares a JSON field with the Protobuf field that carries it.
func (c *comparison) typed(name string, v jsontree.Value) error {
	switch {
	case v.Kind == jsontree.Null:
		if _, known := c.in.constants[name]; known || name == c.in.tag || len(c.in.members[name]) > 0 {
			return nil
		}
	case c.in.constants[name] != "":
		if v.Text == c.in.constants[name] {
			return nil
		}
	case c.in.tag != "" && name == c.in.tag:
		return c.typedTag(v)
	}
	carrier, ok := c.carrier(name, v)
	if !ok {
		return fmt.Errorf("%.200s is neither in a field nor, in its position, in extra_json", v.Text)
	}
	holder := c.m
	if carrier.within != nil {
		if !c.m.Has(carrier.within) {
			return fmt.Errorf("%s is not set", carrier.within.Name())
		}
		c.matched[carrier.within.FullName()] = true
		holder = c.m.Get(carrier.within).Message()
	}
	if isEmpty(v) && (carrier.field.IsList() || carrier.field.IsMap()) {
		return nil // If the field is set, another JSON field must carry it.
	}
	if c.matched[carrier.field.FullName()] {
		return fmt.Errorf("%s: carries two JSON fields", carrier.field.Name())
	}
	c.matched[carrier.field.FullName()] = true
	return sameField(v, holder, carrier, c.e)
}

func (c *comparison) typedTag(v jsontree.Value) error {
	set := c.m.WhichOneof(c.in.union)
	branch, known := c.in.branches[jsontree.Unquote(v.Text)]
	if set == nil || !known || branch.field != set {
		return fmt.Errorf("%s is not the branch that is set", v.Text)
	}
	if branch.isTagOnly() || branch.union().GetInline() {
		c.matched[set.FullName()] = true
	}
	return nil
}

// carrier returns the Protobuf field that carries a JSON field with this name and value.
func (c *comparison) carrier(name string, v jsontree.Value) (slot, bool) {
	for _, s := range c.in.members[name] {
		isForm := len(c.in.members[name]) == 1 || s.within != nil || s.field.IsList() == (v.Kind == jsontree.Array)
		if isForm && (s.within == nil || c.m.Has(s.within)) {
			return s, true
		}
	}
	return slot{}, false
}

// isExtra reports whether JSON field i belongs in extra_json: it is unknown or
// repeated, doesn't fit its field, or belongs to another branch of the union.
func (c *comparison) isExtra(i int) bool {
	member := c.object.Members[i]
	name := jsontree.Unquote(member.Name)
	constant, isConstant := c.in.constants[name]
	switch {
	case c.repeats(i), c.isRepeatedZero(i):
		return true
	case isConstant:
		return member.Value.Text != constant
	case c.in.tag != "" && name == c.in.tag:
		branch, known := c.in.branches[jsontree.Unquote(stringText(member.Value))]
		return !known || c.m.WhichOneof(c.in.union) == nil && !branch.isTagOnly()
	}
	for _, s := range c.in.members[name] {
		if s.fits(member.Value) && c.isFree(s) && c.isNamed(s, name, member.Value) {
			return false
		}
	}
	return true
}

// repeats reports whether JSON field i has the name of an earlier one.
func (c *comparison) repeats(i int) bool {
	return c.hasName(c.object.Members[:i], c.object.Members[i].Name)
}

func (c *comparison) hasName(members []jsontree.Member, name string) bool {
	return slices.ContainsFunc(members, func(member jsontree.Member) bool {
		return jsontree.Unquote(member.Name) == jsontree.Unquote(name)
	})
}

// isRepeatedZero reports whether JSON field i is repeated and the value of its
// Protobuf field doesn't show its presence.
func (c *comparison) isRepeatedZero(i int) bool {
	member := c.object.Members[i]
	if !c.hasName(c.object.Members[i+1:], member.Name) {
		return false
	}
	s, ok := c.carrier(jsontree.Unquote(member.Name), member.Value)
	return ok && !s.field.HasPresence() && !s.field.IsList() && !s.field.IsMap() && s.field.Enum() == nil && !isSet(c.m, s)
}

// isNamed reports whether a list with two JSON names has the name used for
// encoding. Null matches any name.
func (c *comparison) isNamed(s slot, name string, v jsontree.Value) bool {
	alias := s.option.GetAlias()
	if alias == nil || v.Kind == jsontree.Null {
		return true
	}
	stored := c.m.Has(c.in.desc.Fields().ByName(protoreflect.Name(alias.GetWhenSet())))
	return stored == (name == alias.GetName())
}

// isFree reports whether a field can carry a JSON field in its union: its branch is
// the one named by the tag or, without a tag, the first branch present.
func (c *comparison) isFree(s slot) bool {
	branch := s.field
	if s.within != nil {
		branch = s.within
	}
	if !newSlot(branch).isBranch() {
		return true
	}
	if newSlot(branch).union().GetTag() != "" {
		if tag, has := c.object.Find(c.in.tag); has && tag.Kind != jsontree.Null {
			return jsontree.Unquote(stringText(tag)) == newSlot(branch).name()
		}
	}
	set := c.m.WhichOneof(branch.ContainingOneof())
	return set == nil || set == branch
}

// isEmpty reports whether the value is an array or an object without content.
func isEmpty(v jsontree.Value) bool {
	return (v.Kind == jsontree.Array || v.Kind == jsontree.Object) && len(v.Items)+len(v.Members) == 0
}

// stringText returns a string as written, and "" for other values.
func stringText(v jsontree.Value) string {
	if v.Kind != jsontree.String {
		return `""`
	}
	return v.Text
}

// extraMembers returns the fields in a message's extra_json.
func extraMembers(m protoreflect.Message, in *mapping) ([]jsontree.Member, error) {
	if in.remainder == nil || m.Get(in.remainder).String() == "" {
		return nil, nil
	}
	v, err := jsontree.Parse([]byte(m.Get(in.remainder).String()))
	if err != nil {
		return nil, fmt.Errorf("extra_json: %w", err)
	}
	if v.Kind != jsontree.Object {
		return nil, fmt.Errorf("extra_json is %v", v.Kind)
	}
	return v.Members, nil
}

// sameField compares a value with a field of a message.
func sameField(v jsontree.Value, m protoreflect.Message, s slot, e encoding) error {
	switch {
	case s.field.IsMap():
		return sameMap(v, m.Get(s.field).Map(), s.mapValue(), e)
	case s.field.IsList():
		items := v.Items
		if v.Kind != jsontree.Array {
			items = []jsontree.Value{v}
		}
		list := m.Get(s.field).List()
		if len(items) != list.Len() || v.Kind != jsontree.Array && !s.option.GetSingle() {
			return fmt.Errorf("%.200s is not the same as %d items", v.Text, list.Len())
		}
		for i, item := range items {
			if err := sameOne(item, list.Get(i), s, e); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	case s.field.HasPresence() && !m.Has(s.field):
		return fmt.Errorf("%s: is not set, but the JSON has %.200s", s.field.Name(), v.Text)
	default:
		return sameOne(v, m.Get(s.field), s, e)
	}
}

func sameMap(v jsontree.Value, m protoreflect.Map, value slot, e encoding) error {
	if v.Kind != jsontree.Object || len(v.Members) != m.Len() {
		return fmt.Errorf("%.200s is not the same as %d entries", v.Text, m.Len())
	}
	for _, member := range v.Members {
		key := protoreflect.ValueOfString(jsontree.Unquote(member.Name)).MapKey()
		if !m.Has(key) {
			return fmt.Errorf("[%s]: is missing", member.Name)
		}
		if err := sameOne(member.Value, m.Get(key), value, e); err != nil {
			return fmt.Errorf("[%s]: %w", member.Name, err)
		}
	}
	return nil
}

// sameOne compares a value with a field that is not a list, or with an item.
func sameOne(v jsontree.Value, got protoreflect.Value, s slot, e encoding) error {
	var want string
	var is bool
	switch s.field.Kind() {
	case protoreflect.BoolKind:
		want, is = strconv.FormatBool(got.Bool()), v.Kind == jsontree.Bool
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		want, is = strconv.FormatInt(got.Int(), 10), v.Kind == jsontree.Number
	case protoreflect.DoubleKind:
		number, err := strconv.ParseFloat(v.Text, 64)
		if v.Kind != jsontree.Number || err != nil || math.Float64bits(number) != math.Float64bits(got.Float()) {
			return differ(v, got)
		}
		return nil
	case protoreflect.StringKind:
		if s.isJSON() {
			want, is = got.String(), v.Kind == jsontree.Object
			break
		}
		return sameString(v, got.String())
	case protoreflect.BytesKind:
		if s.isOctets() {
			return sameOctets(v, got.Bytes())
		}
		return sameString(v, base64.StdEncoding.EncodeToString(got.Bytes()))
	case protoreflect.EnumKind:
		value := s.field.Enum().Values().ByNumber(got.Enum())
		if value == nil || value.Number() == 0 {
			return differ(v, got)
		}
		return sameString(v, spelling(value))
	default:
		if t, ok := got.Message().Interface().(*timestamppb.Timestamp); ok {
			want, is = strconv.FormatInt(t.GetSeconds(), 10), t.GetNanos() == 0
			break
		}
		return same(v, got.Message(), e)
	}
	if !is || v.Text != want {
		return differ(v, want)
	}
	return nil
}

func sameString(v jsontree.Value, want string) error {
	if v.Kind != jsontree.String || jsontree.Unquote(v.Text) != want || !utf8.ValidString(want) {
		return differ(v, want)
	}
	return nil
}

func sameOctets(v jsontree.Value, want []byte) error {
	if v.Kind != jsontree.Array || len(v.Items) != len(want) {
		return differ(v, want)
	}
	for i, item := range v.Items {
		if item.Text != strconv.Itoa(int(want[i])) {
			return differ(v, want)
		}
	}
	return nil
}

func differ(v jsontree.Value, got any) error {
	return fmt.Errorf("%.200s is not the same as %.200v", v.Append(nil, nil), got)
}

func TestSame_ComparesJSONWithMessage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		message proto.Message
		text    string // the message in Protobuf's JSON form
		json    string
		want    string // substring of the error, or ""
	}{
		{
			"members in their fields", &chatv1.Message{}, `{"role":"ROLE_TOOL","content":"","toolCallId":"x"}`,
			`{"role":"tool","content":"\u0000","tool_call_id":"x"}`, `"content": "\u0000" is not the same as `,
		},
		{"a lost field", &chatv1.Message{}, `{"role":"ROLE_TOOL"}`, `{"role":"tool","content":""}`, `"content": content: is not set`},
		{"an added field", &chatv1.Message{}, `{"role":"ROLE_TOOL","content":""}`, `{"role":"tool"}`, `content: is set, but the JSON has no such field`},
		{"null for an unset field", &chatv1.Message{}, `{"role":"ROLE_TOOL"}`, `{"role":"tool","content":null,"tool_calls":[]}`, ""},
		{"null for a set field", &chatv1.Message{}, `{"name":"x"}`, `{"name":null}`, `name: is set`},
		{"another enum value", &chatv1.Message{}, `{"role":"ROLE_USER"}`, `{"role":"tool"}`, `"role": "tool" is not the same as user`},
		{"swapped fields", &chatv1.URLCitation{}, `{"url":"a","title":"b"}`, `{"start_index":0,"end_index":0,"url":"b","title":"a"}`, `"url": "b" is not the same as a`},
		{"an empty message is not absent", &chatv1.CreateChatCompletionRequest{}, `{}`, `{"web_search_options":{}}`, `web_search_options: is not set`},
		{"an empty list is absent", &chatv1.CreateChatCompletionRequest{}, `{}`, `{"tools":[],"metadata":{}}`, ""},
		{"a list in another order", &chatv1.CreateChatCompletionRequest{}, `{"stop":["a","b"]}`, `{"stop":["b","a"]}`, `"stop": [0]: "b" is not the same as a`},
		{"one item for a list that takes one", &chatv1.CreateChatCompletionRequest{}, `{"stop":["a"]}`, `{"stop":"a"}`, ""},
		{"a map", &chatv1.CreateChatCompletionRequest{}, `{"metadata":{"a":"b"}}`, `{"metadata":{"a":"c"}}`, `"metadata": ["a"]: "c" is not the same as b`},
		{"a double in a different format", &chatv1.CreateChatCompletionRequest{}, `{"topP":1}`, `{"top_p":1.0e0}`, ""},
		{"minus zero is not zero", &chatv1.CreateChatCompletionRequest{}, `{"topP":0}`, `{"top_p":-0}`, `-0 is not the same as 0`},
		{"an integer in a different format", &chatv1.CreateChatCompletionRequest{}, `{"n":1}`, `{"n":1.0}`, `"n": 1.0 is not the same as 1`},
		{"raw JSON, verbatim", &chatv1.FunctionTool{}, `{"name":"f","parametersJson":"{\"a\": 1}"}`, `{"name":"f","parameters":{"a": 1}}`, ""},
		{"raw JSON, not verbatim", &chatv1.FunctionTool{}, `{"name":"f","parametersJson":"{\"a\":1}"}`, `{"name":"f","parameters":{"a": 1}}`, `is not the same`},
		{"octets", &chatv1.TopLogprob{}, `{"bytes":"AP8="}`, `{"token":"","logprob":0,"bytes":[0,254]}`, `"bytes": [0,254] is not the same as`},
		{"base64", &chatv1.InputAudio{}, `{"data":"AP8="}`, `{"data":"AP4="}`, `"data": "AP4=" is not the same as AP8=`},
		{"unknown fields, verbatim and in order", &chatv1.Message{}, `{"extraJson":"{\"b\": 1,\"a\":null}"}`, `{"b": 1,"role":null,"a":null}`, ""},
		{"an unknown field is lost", &chatv1.Message{}, `{"extraJson":"{\"b\":1}"}`, `{"b":1,"a":null}`, `"a": null is neither in a field nor`},
		{"an unknown field, not verbatim", &chatv1.Message{}, `{"extraJson":"{\"b\":1}"}`, `{"b":1.0}`, `"b": 1.0 is neither in a field nor`},
		{"unknown fields in another order", &chatv1.Message{}, `{"extraJson":"{\"b\":1,\"a\":2}"}`, `{"a":2,"b":1}`, `"a": 2 is neither`},
		{"an unknown field is added", &chatv1.Message{}, `{"extraJson":"{\"b\":1}"}`, `{}`, `extra_json has "b":1, which the JSON lacks`},
		{"a known field in extra_json", &chatv1.Message{}, `{"extraJson":"{\"name\":\"x\"}"}`, `{"name":"x"}`, `is in extra_json, but a field can carry it`},
		{"a known field of another type", &chatv1.Message{}, `{"extraJson":"{\"name\":5}"}`, `{"name":5}`, ""},
		{"a repeated field", &chatv1.Message{}, `{"name":"x","extraJson":"{\"name\":\"y\"}"}`, `{"name":"x","name":"y"}`, ""},
		{"a repeated field is lost", &chatv1.Message{}, `{"name":"x"}`, `{"name":"x","name":"x"}`, `carries two JSON fields`},
		{"the only legal value", &chatv1.ChatCompletionDeleted{}, `{"deleted":true}`, `{"object":"chat.completion.deleted","id":"","deleted":true}`, ""},
		{"not the only legal value", &chatv1.ChatCompletionDeleted{}, `{}`, `{"object":"deleted"}`, `"object": "deleted" is neither`},
		{"a union", &chatv1.ContentPart{}, `{"imageUrl":{"url":"a"}}`, `{"image_url":{"url":"a"},"type":"image_url"}`, ""},
		{"another branch", &chatv1.ContentPart{}, `{"text":"a"}`, `{"type":"refusal","refusal":"a"}`, `"refusal" is not the branch that is set`},
		{"a branch that became unknown", &chatv1.ContentPart{}, `{"extraJson":"{\"type\":\"text\",\"text\":\"a\"}"}`, `{"type":"text","text":"a"}`, `"text": is in extra_json, but a field can`},
		{"an unknown branch", &chatv1.ContentPart{}, `{"extraJson":"{\"type\":\"video\",\"text\":\"a\"}"}`, `{"type":"video","text":"a"}`, ""},
		{"a branch whose payload doesn't fit", &chatv1.ContentPart{}, `{"extraJson":"{\"type\":\"text\",\"text\":5}"}`, `{"type":"text","text":5}`, ""},
		{"a branch without a payload", &chatv1.ResponseFormat{}, `{"jsonObject":{}}`, `{"type":"json_object"}`, ""},
		{"a branch without a payload, lost", &chatv1.ResponseFormat{}, `{"extraJson":"{\"type\":\"json_object\"}"}`, `{"type":"json_object"}`, `is in extra_json`},
		{"a payload next to the tag", &chatv1.ModerationOutcome{}, `{"error":{"code":"a","message":"b"}}`, `{"type":"error","code":"a","message":"c"}`, `"message": "c" is not the same as b`},
		{"a bare value", &sharedv1.Voice{}, `{"name":"alloy"}`, `"ash"`, `"ash" is not the same as alloy`},
		{"a bare value for an object", &sharedv1.Voice{}, `{"id":"alloy"}`, `"alloy"`, `is not the same`},
		{"content in parts", &chatv1.Message{}, `{"contentParts":[{"text":"a"}]}`, `{"content":[{"type":"text","text":"a"}]}`, ""},
		{"content in parts under its other name", &chatv1.Message{}, `{"contentParts":[{"text":"a"}],"id":"b"}`, `{"content":null,"content_parts":[{"type":"text","text":"a"}],"id":"b"}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := protojson.Unmarshal([]byte(row.text), row.message); err != nil {
				t.Fatal(err)
			}
			err := same(mustParse(t, row.json), row.message.ProtoReflect(), received)
			switch {
			case row.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got error %[2]v, want it to contain %[1]q", row.want, err)
			}
		})
	}
}

func TestSame_RequestHasNoOutputOnlyFields(t *testing.T) {
	t.Parallel()
	m := (&chatv1.Message{Role: chatv1.Role_ROLE_USER, Id: new("x")}).ProtoReflect()
	v := mustParse(t, `{"role":"user"}`)
	if err := same(v, m, request); err != nil {
		t.Error(err)
	}
	if err := same(v, m, reply); err == nil {
		t.Error("got no error for a reply that lost its id")
	}
}
