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

// rejection is a reason why a message can't be encoded: the field, and a substring of
// the error.
type rejection struct{ path, says string }

// rejections returns the reasons why a message can't be encoded.
func rejections(m protoreflect.Message, e encoding) (all []rejection) {
	in := mappingOf(m.Descriptor())
	if in.remainder != nil {
		extra, err := extraMembers(m, in)
		if err != nil {
			return []rejection{{"extra_json", err.Error()}}
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
			all = append(all, rejectionsBelow(field, value, e)...)
		}
		return true
	})
	return all
}

// rejectionsBelow returns the reasons in the messages in a field.
func rejectionsBelow(field protoreflect.FieldDescriptor, value protoreflect.Value, e encoding) (all []rejection) {
	below := func(m protoreflect.Message, at string) {
		for _, r := range rejections(m, e) {
			path := string(field.Name()) + at + "." + r.path
			if newSlot(field).union().GetInline() {
				path = r.path
			}
			all = append(all, rejection{strings.TrimSuffix(path, "."), r.says})
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

// clashes returns JSON fields that would be encoded twice: from a field, and from
// extra_json or another field.
func clashes(m protoreflect.Message, in *mapping, extra map[string]bool, e encoding) (all []rejection) {
	for name := range extra {
		clash := in.tag != "" && name == in.tag && m.WhichOneof(in.union) != nil
		for _, s := range in.members[name] {
			clash = clash || isSet(m, s) && writtenAs(m, in, s, e) == name && (e != request || !s.option.GetOutputOnly())
		}
		if clash {
			all = append(all, rejection{"extra_json", `"` + name + `"`})
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
			all = append(all, rejection{string(slots[1].field.Name()), "cannot be set together with"})
		}
	}
	return all
}

// isSet reports whether a field is set. Zero, including minus zero, is unset in a
// field without presence.
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

// writtenAs returns the JSON name of a field in this encoding.
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

// lacks returns the missing required fields of a request.
func lacks(m protoreflect.Message, in *mapping, extra map[string]bool) (all []rejection) {
	const required = "required"
	for name, slots := range in.members {
		for _, s := range slots {
			presence := s.option.GetPresence()
			hasZero := s.field.IsList() || s.field.IsMap() || !s.field.HasPresence() && s.field.Kind() != protoreflect.EnumKind
			lacking := presence == restv1.Presence_PRESENCE_MANDATORY || presence == restv1.Presence_PRESENCE_REQUIRED && !hasZero
			reachable := s.within == nil || m.Has(s.within)
			otherForm := slices.ContainsFunc(slots, func(form slot) bool { return form.within == nil && m.Has(form.field) })
			if lacking && reachable && !isSet(m, s) && !otherForm && !extra[name] && !s.option.GetOutputOnly() {
				all = append(all, rejection{string(s.field.Name()), required})
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
		all = append(all, rejection{path, required})
	}
	return all
}

// justified returns an error if a message was rejected without a reason, or accepted
// despite one.
func justified(err error, m protoreflect.Message, e encoding) error {
	reasons := rejections(m, e)
	if err == nil {
		if len(reasons) > 0 {
			return fmt.Errorf("message was accepted despite %q", reasons)
		}
		return nil
	}
	rejected, ok := errors.AsType[*restjson.FieldError](err)
	if !ok {
		return fmt.Errorf("want a *restjson.FieldError, got %w", err)
	}
	for _, reason := range reasons {
		if rejected.Path == reason.path && strings.Contains(rejected.Reason, reason.says) {
			return nil
		}
	}
	return fmt.Errorf("message was rejected with %w, want one of %q", err, reasons)
}

func TestRejection_Reasons(t *testing.T) {
	t.Parallel()
	user := `{"role":"ROLE_USER","content":"a"`
	for _, row := range []struct {
		name    string
		message proto.Message
		text    string // in Protobuf's JSON form
		e       encoding
		want    []rejection
	}{
		{"nothing", &chatv1.CreateChatCompletionRequest{}, `{"model":"a","messages":[` + user + `}]}`, request, nil},
		{"a request lacks a model", &chatv1.CreateChatCompletionRequest{}, `{"messages":[` + user + `}]}`, request, []rejection{{"model", "required"}}},
		{"a reply lacks an id", &chatv1.ChatCompletion{}, `{}`, reply, nil},
		{"a message lacks a role", &chatv1.CreateChatCompletionRequest{}, `{"model":"a","messages":[{}]}`, request, []rejection{{"messages[0].role", "required"}}},
		{"a message has its role in extra_json", &chatv1.Message{}, `{"extraJson":"{\"role\":\"critic\"}"}`, request, nil},
		{"extra_json has a field that is set", &chatv1.Choice{}, `{"message":{"name":"a","extraJson":"{\"name\":\"b\"}"}}`, reply, []rejection{{"message.extra_json", `"name"`}}},
		{"extra_json has the tag of a union that is set", &chatv1.ContentPart{}, `{"text":"a","extraJson":"{\"type\":\"b\"}"}`, reply, []rejection{{"extra_json", `"type"`}}},
		{"extra_json has another known member", &chatv1.Message{}, `{"name":"a","extraJson":"{\"refusal\":5}"}`, reply, nil},
		{"a request's extra_json has a field that it leaves out", &chatv1.Message{}, `{"role":"ROLE_USER","id":"a","extraJson":"{\"id\":5}"}`, request, nil},
		{"both forms of the content, in a request", &chatv1.Message{}, user + `,"contentParts":[{"text":"b"}]}`, request, []rejection{{"content_parts", "cannot be set together with"}}},
		{"both forms of the content, in a reply", &chatv1.Message{}, user + `,"contentParts":[{"text":"b"}]}`, reply, []rejection{{"content_parts", "cannot be set together with"}}},
		{"both forms of the content, in a stored message", &chatv1.Message{}, user + `,"id":"a","contentParts":[{"text":"b"}]}`, reply, nil},
		{"a union without a branch", &chatv1.ContentPart{}, `{}`, request, []rejection{{"", "required"}}},
		{"a union without a branch, with something else", &chatv1.ContentPart{}, `{"extraJson":"{\"type\":\"video\"}"}`, request, nil},
		{"a union of one branch without it", &chatv1.UserLocation{}, `{}`, request, []rejection{{"approximate", "required"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := protojson.Unmarshal([]byte(row.text), row.message); err != nil {
				t.Fatal(err)
			}
			if got := rejections(row.message.ProtoReflect(), row.e); !slices.Equal(got, row.want) {
				t.Errorf("got %[2]q, want %[1]q", row.want, got)
			}
		})
	}
}

func TestRejection_MustBeJustified(t *testing.T) {
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
				t.Errorf("got error %v", err)
			}
		})
	}
}
