package fidelity_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
)

// mapping describes how a message maps to JSON, from the options of its .proto file.
type mapping struct {
	desc      protoreflect.MessageDescriptor
	constants map[string]string // JSON text by field name
	members   map[string][]slot // Protobuf fields by JSON name
	remainder protoreflect.FieldDescriptor
	array     *slot // the list that the message represents
	bare      *slot // the branch that is not an object

	union    protoreflect.OneofDescriptor
	tag      string
	branches map[string]slot // by tag value
}

// slot is a Protobuf field as the carrier of a JSON value.
type slot struct {
	field  protoreflect.FieldDescriptor
	option *restv1.Member
	// item reports whether the slot is for one item of a list.
	item bool
	// within is the branch of a union whose message contains the field. The fields
	// of that message are next to the union's tag.
	within protoreflect.FieldDescriptor
}

// slots caches slots by field.
var slots sync.Map

func newSlot(field protoreflect.FieldDescriptor) slot {
	if known, ok := slots.Load(field); ok {
		return known.(slot)
	}
	s := slot{field: field, option: extension[*restv1.Member](field, restv1.E_Member)}
	slots.Store(field, s)
	return s
}

// mappings caches mappings by message.
var mappings sync.Map

func mappingOf(desc protoreflect.MessageDescriptor) *mapping {
	if known, ok := mappings.Load(desc); ok {
		return known.(*mapping)
	}
	m := readMapping(desc)
	mappings.Store(desc, m)
	return m
}

func readMapping(desc protoreflect.MessageDescriptor) *mapping {
	m := &mapping{
		desc: desc, constants: make(map[string]string), members: make(map[string][]slot), branches: make(map[string]slot),
	}
	object := extension[*restv1.Object](desc, restv1.E_Object)
	for _, c := range object.GetConstants() {
		m.constants[c.GetName()] = c.GetJson()
	}
	for field := range fields(desc) {
		s := newSlot(field)
		union := s.union()
		switch {
		case object.GetArray():
			m.array = &s
		case s.option.GetFormat() == restv1.Format_FORMAT_REMAINDER:
			m.remainder = field
		case s.option.GetTypedOnly():
		case s.option.GetBare():
			m.bare = &s
		case union.GetTag() == "":
			m.add(s)
		default:
			m.union, m.tag = field.ContainingOneof(), union.GetTag()
			m.branches[s.name()] = s
			m.addBranch(s, union)
		}
	}
	return m
}

func (m *mapping) addBranch(branch slot, union *restv1.Union) {
	switch {
	case union.GetInline():
		for field := range fields(branch.field.Message()) {
			s := newSlot(field)
			s.within = branch.field
			m.add(s)
		}
	case !branch.isTagOnly():
		m.add(branch)
	}
}

func (m *mapping) add(s slot) {
	m.members[s.name()] = append(m.members[s.name()], s)
	if alias := s.option.GetAlias().GetName(); alias != "" {
		m.members[alias] = append(m.members[alias], s)
	}
}

// name returns the JSON name of the field, or the tag value of a branch.
func (s slot) name() string {
	if name := s.option.GetName(); name != "" {
		return name
	}
	name := string(s.field.Name())
	if s.option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT {
		name = strings.TrimSuffix(name, "_json")
	}
	return name
}

// union returns the option of the field's oneof, or nil.
func (s slot) union() *restv1.Union {
	oneof := s.field.ContainingOneof()
	if oneof == nil {
		return nil
	}
	return extension[*restv1.Union](oneof, restv1.E_Union)
}

// isBranch reports whether the field is in an explicit oneof.
func (s slot) isBranch() bool {
	oneof := s.field.ContainingOneof()
	return oneof != nil && !oneof.IsSynthetic()
}

// isTagOnly reports whether a branch of a union has no payload.
func (s slot) isTagOnly() bool {
	return s.isMessage() && s.field.Message().Fields().Len() == 0
}

// isMessage reports whether the field, or its item, is a message with a JSON value of
// its own.
func (s slot) isMessage() bool {
	return s.field.Kind() == protoreflect.MessageKind && !s.field.IsMap() && !s.isTime()
}

func (s slot) isTime() bool {
	return s.field.Kind() == protoreflect.MessageKind && s.field.Message().FullName() == "google.protobuf.Timestamp"
}

func (s slot) isJSON() bool { return s.option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT }

func (s slot) isOctets() bool { return s.option.GetFormat() == restv1.Format_FORMAT_BYTE_ARRAY }

func (s slot) isList() bool { return s.field.IsList() && !s.item }

// listItem returns the slot of a list's items.
func (s slot) listItem() slot {
	s.item = true
	return s
}

// mapValue returns the slot of a map's values.
func (s slot) mapValue() slot { return slot{field: s.field.MapValue(), option: s.option} }

// spelling returns the JSON string of an enum value, or "" for the unset value.
func spelling(value protoreflect.EnumValueDescriptor) string {
	if value.Number() == 0 {
		return ""
	}
	if text := extension[string](value, restv1.E_Value); text != "" {
		return text
	}
	enum, _ := value.Parent().(protoreflect.EnumDescriptor)
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}

// spelled returns the enum value of a JSON string, or nil.
func spelled(enum protoreflect.EnumDescriptor, text string) protoreflect.EnumValueDescriptor {
	for value := range enumValues(enum) {
		if value.Number() != 0 && spelling(value) == text {
			return value
		}
	}
	return nil
}

// extension returns an option, or its zero value.
func extension[T any](desc protoreflect.Descriptor, option protoreflect.ExtensionType) T {
	value, _ := proto.GetExtension(desc.Options(), option).(T)
	return value
}

func fields(desc protoreflect.MessageDescriptor) func(func(protoreflect.FieldDescriptor) bool) {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		for i := range desc.Fields().Len() {
			if !yield(desc.Fields().Get(i)) {
				return
			}
		}
	}
}

func enumValues(enum protoreflect.EnumDescriptor) func(func(protoreflect.EnumValueDescriptor) bool) {
	return func(yield func(protoreflect.EnumValueDescriptor) bool) {
		for i := range enum.Values().Len() {
			if !yield(enum.Values().Get(i)) {
				return
			}
		}
	}
}

func TestMapping_IsReadFromOptions(t *testing.T) {
	t.Parallel()
	message := mappingOf((*chatv1.Message)(nil).ProtoReflect().Descriptor())
	if got := names(message.members["content"]); !slices.Equal(got, []string{"content", "content_parts"}) {
		t.Errorf("got carriers %q for content", got)
	}
	if got := names(message.members["content_parts"]); !slices.Equal(got, []string{"content_parts"}) {
		t.Errorf("got carriers %q for content_parts", got)
	}
	if message.remainder.Name() != "extra_json" || message.tag != "" {
		t.Errorf("got %+v", message)
	}
	tool := mappingOf((*chatv1.FunctionTool)(nil).ProtoReflect().Descriptor())
	if got := names(tool.members["parameters"]); !slices.Equal(got, []string{"parameters_json"}) {
		t.Errorf("got carriers %q for parameters", got)
	}
	choice := mappingOf((*chatv1.ToolChoice)(nil).ProtoReflect().Descriptor())
	if choice.tag != "type" || len(choice.branches) != 3 || choice.bare.field.Name() != "mode" {
		t.Errorf("got %+v", choice)
	}
	format := mappingOf((*chatv1.ResponseFormat)(nil).ProtoReflect().Descriptor())
	if len(format.branches) != 3 || len(format.members) != 1 {
		t.Errorf("got %+v", format)
	}
	outcome := mappingOf((*chatv1.ModerationOutcome)(nil).ProtoReflect().Descriptor())
	if got := outcome.members["results"]; len(got) != 1 || got[0].within.Name() != "moderation_results" {
		t.Errorf("got %+v", got)
	}
	if c := mappingOf((*chatv1.ChatCompletion)(nil).ProtoReflect().Descriptor()).constants; c["object"] != `"chat.completion"` {
		t.Errorf("got %q", c)
	}
	for text, want := range map[string]protoreflect.Enum{
		"24h": sharedv1.PromptCacheRetention_PROMPT_CACHE_RETENTION_24H, "in_memory": sharedv1.PromptCacheRetention_PROMPT_CACHE_RETENTION_IN_MEMORY,
	} {
		if got := spelled(want.Descriptor(), text); got == nil || got.Number() != want.Number() {
			t.Errorf("got %[2]v for %[1]s", text, got)
		}
	}
	if got := spelled(chatv1.Role_ROLE_USER.Descriptor(), "unspecified"); got != nil {
		t.Errorf("got %v for unspecified", got)
	}
}

func names(of []slot) (names []string) {
	for _, s := range of {
		names = append(names, string(s.field.Name()))
	}
	return names
}
