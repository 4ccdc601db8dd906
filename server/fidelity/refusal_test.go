package fidelity_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// refusal is a reason why a message can't be encoded: the field at fault, and
// what the error must say of it.
type refusal struct{ path, says string }

// refusals are the reasons why a message can't be encoded.
func refusals(m protoreflect.Message, e encoding) (all []refusal) {
	in := mappingOf(m.Descriptor())
	if in.remainder != nil {
		extra, err := extraMembers(m, in)
		if err != nil {
			return []refusal{{"extra_json", err.Error()}}
		}
		has := make(map[string]bool)
		for _, member := range extra {
			has[jsontree.Unquote(member.Name)] = true
		}
		all = append(all, clashes(m, in, has, e)...)
		if e == request {
			all = append(all, lacks(m, in, has)...)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if e == reply || !newSlot(field).option.GetOutputOnly() {
			all = append(all, refusalsBelow(field, value, e)...)
		}
		return true
	})
	return all
}

// refusalsBelow are the reasons in the messages that a field has.
func refusalsBelow(field protoreflect.FieldDescriptor, value protoreflect.Value, e encoding) (all []refusal) {
	below := func(m protoreflect.Message, at string) {
		for _, r := range refusals(m, e) {
			path := string(field.Name()) + at + "." + r.path
			if newSlot(field).union().GetInline() {
				path = r.path
			}
			all = append(all, refusal{strings.TrimSuffix(path, "."), r.says})
		}
	}
	switch {
	case field.IsMap() && field.MapValue().Message() != nil:
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			below(value.Message(), fmt.Sprintf("[%q]", key.String()))
			return true
		})
	case field.IsMap() || field.Message() == nil || newSlot(field).isTime():
	case field.IsList():
		for i := range value.List().Len() {
			below(value.List().Get(i).Message(), fmt.Sprintf("[%d]", i))
		}
	default:
		below(value.Message(), "")
	}
	return all
}

// clashes are members that would be written twice: as a field, and from
// extra_json or as another field.
func clashes(m protoreflect.Message, in *mapping, extra map[string]bool, e encoding) (all []refusal) {
	for name := range extra {
		clash := in.tag != "" && name == in.tag && m.WhichOneof(in.union) != nil
		for _, s := range in.members[name] {
			clash = clash || isSet(m, s) && writtenAs(m, in, s, e) == name && (e != request || !s.option.GetOutputOnly())
		}
		if clash {
			all = append(all, refusal{"extra_json", `"` + name + `"`})
		}
	}
	for name, slots := range in.members {
		if len(slots) != 2 || slots[0].within != nil || slots[0].name() != name {
			continue
		}
		set := 0
		for _, s := range slots {
			if isSet(m, s) && writtenAs(m, in, s, e) == name {
				set++
			}
		}
		if set == 2 {
			all = append(all, refusal{string(slots[1].field.Name()), "cannot be set together with"})
		}
	}
	return all
}

// isSet reports whether a field is set. Zero is unset in a field without
// presence, and so is minus zero.
func isSet(m protoreflect.Message, s slot) bool {
	if s.within != nil {
		if !m.Has(s.within) {
			return false
		}
		m = m.Get(s.within).Message()
	}
	if s.field.Kind() == protoreflect.DoubleKind && !s.field.HasPresence() && !s.field.IsList() && !s.field.IsMap() {
		return m.Get(s.field).Float() != 0
	}
	return m.Has(s.field)
}

// writtenAs is the name by which a field's member is written.
func writtenAs(m protoreflect.Message, in *mapping, s slot, e encoding) string {
	alias := s.option.GetAlias()
	if alias == nil || e == request {
		return s.name()
	}
	whenSet := in.desc.Fields().ByName(protoreflect.Name(alias.GetWhenSet()))
	if m.Has(whenSet) {
		return alias.GetName()
	}
	return s.name()
}

// lacks are the members that a request must have, and doesn't.
func lacks(m protoreflect.Message, in *mapping, extra map[string]bool) (all []refusal) {
	const required = "required"
	for name, slots := range in.members {
		for _, s := range slots {
			presence := s.option.GetPresence()
			hasZero := s.field.IsList() || s.field.IsMap() || !s.field.HasPresence() && s.field.Kind() != protoreflect.EnumKind
			lacking := presence == restv1.Presence_PRESENCE_MANDATORY || presence == restv1.Presence_PRESENCE_REQUIRED && !hasZero
			reachable := s.within == nil || m.Has(s.within)
			otherForm := slices.ContainsFunc(slots, func(form slot) bool { return form.within == nil && m.Has(form.field) })
			if lacking && reachable && !isSet(m, s) && !otherForm && !extra[name] && !s.option.GetOutputOnly() {
				all = append(all, refusal{string(s.field.Name()), required})
			}
		}
	}
	oneof := in.union
	if oneof == nil && in.bare != nil {
		oneof = in.bare.field.ContainingOneof()
	}
	if oneof != nil && m.WhichOneof(oneof) == nil && len(extra) == 0 {
		path := ""
		if oneof.Fields().Len() == 1 {
			path = string(oneof.Fields().Get(0).Name())
		}
		all = append(all, refusal{path, required})
	}
	return all
}

// justified returns an error if a message was refused for no reason, or was not
// refused though there is one.
func justified(err error, m protoreflect.Message, e encoding) error {
	reasons := refusals(m, e)
	if err == nil {
		if len(reasons) > 0 {
			return fmt.Errorf("it was not refused, in spite of %q", reasons)
		}
		return nil
	}
	refused, ok := errors.AsType[*restjson.FieldError](err)
	if !ok {
		return fmt.Errorf("want a *restjson.FieldError, got %w", err)
	}
	for _, reason := range reasons {
		if refused.Path == reason.path && strings.Contains(refused.Reason, reason.says) {
			return nil
		}
	}
	return fmt.Errorf("it was refused with %w, where got reasons %q", err, reasons)
}

func TestWhatMustBeRefused(t *testing.T) {
	t.Parallel()
	user := `{"role":"ROLE_USER","content":"a"`
	for _, row := range []struct {
		name    string
		message proto.Message
		text    string // as Protobuf's JSON
		e       encoding
		want    []refusal
	}{
		{"nothing", &chatv1.CreateChatCompletionRequest{}, `{"model":"a","messages":[` + user + `}]}`, request, nil},
		{"a request lacks a model", &chatv1.CreateChatCompletionRequest{}, `{"messages":[` + user + `}]}`, request, []refusal{{"model", "required"}}},
		{"a reply lacks an id", &chatv1.ChatCompletion{}, `{}`, reply, nil},
		{"a message lacks a role", &chatv1.CreateChatCompletionRequest{}, `{"model":"a","messages":[{}]}`, request, []refusal{{"messages[0].role", "required"}}},
		{"a message has its role in extra_json", &chatv1.Message{}, `{"extraJson":"{\"role\":\"critic\"}"}`, request, nil},
		{"extra_json has a field that is set", &chatv1.Choice{}, `{"message":{"name":"a","extraJson":"{\"name\":\"b\"}"}}`, reply, []refusal{{"message.extra_json", `"name"`}}},
		{"extra_json has the tag of a union that is set", &chatv1.ContentPart{}, `{"text":"a","extraJson":"{\"type\":\"b\"}"}`, reply, []refusal{{"extra_json", `"type"`}}},
		{"extra_json has another known member", &chatv1.Message{}, `{"name":"a","extraJson":"{\"refusal\":5}"}`, reply, nil},
		{"a request's extra_json has a field that it leaves out", &chatv1.Message{}, `{"role":"ROLE_USER","id":"a","extraJson":"{\"id\":5}"}`, request, nil},
		{"both forms of the content, in a request", &chatv1.Message{}, user + `,"contentParts":[{"text":"b"}]}`, request, []refusal{{"content_parts", "cannot be set together with"}}},
		{"both forms of the content, in a reply", &chatv1.Message{}, user + `,"contentParts":[{"text":"b"}]}`, reply, []refusal{{"content_parts", "cannot be set together with"}}},
		{"both forms of the content, in a stored message", &chatv1.Message{}, user + `,"id":"a","contentParts":[{"text":"b"}]}`, reply, nil},
		{"a union without a branch", &chatv1.ContentPart{}, `{}`, request, []refusal{{"", "required"}}},
		{"a union without a branch, with something else", &chatv1.ContentPart{}, `{"extraJson":"{\"type\":\"video\"}"}`, request, nil},
		{"a union of one branch without it", &chatv1.UserLocation{}, `{}`, request, []refusal{{"approximate", "required"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := protojson.Unmarshal([]byte(row.text), row.message); err != nil {
				t.Fatal(err)
			}
			if got := refusals(row.message.ProtoReflect(), row.e); !slices.Equal(got, row.want) {
				t.Errorf("want %q, got %q", row.want, got)
			}
		})
	}
}

func TestARefusalMustBeJustified(t *testing.T) {
	t.Parallel()
	m := (&chatv1.Message{Name: new("a"), ExtraJson: `{"name":"b"}`}).ProtoReflect()
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"the reason", &restjson.FieldError{Path: "extra_json", Reason: `"name" is there twice`}, true},
		{"another field", &restjson.FieldError{Path: "name", Reason: `"name" is there twice`}, false},
		{"another reason", &restjson.FieldError{Path: "extra_json", Reason: `"role" is there twice`}, false},
		{"none", nil, false},
		{"another kind of error", errors.New(`extra_json: "name" is there twice`), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := justified(row.err, m, reply); (err == nil) != row.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
