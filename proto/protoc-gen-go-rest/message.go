package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// message is a message that maps to a JSON value.
type message struct {
	*protogen.Message

	names     []string // of the members, by number
	constants []constant
	members   []*member
	union     *union // nil if the message has no tagged union
	bare      *member
	array     *member
	remainder *protogen.Field
}

// constant is a member with a constant value.
type constant struct {
	index      int
	name, json string
}

// member is a member of a JSON object and its field.
type member struct {
	*protogen.Field

	index  int
	name   string
	option *restv1.Member
	// other is the field with the member's other form, or nil.
	other *member
	// alias is the number of the member's alias, or -1.
	alias int
	// whenSet is the field whose presence selects the alias.
	whenSet *member
}

// union is a oneof that maps to a tagged union.
type union struct {
	*protogen.Oneof

	index    int
	tag      string
	inline   bool
	branches []*branch
}

// branch is a field of a tagged union.
type branch struct {
	*member

	number  int       // the result of Decoder.Tag for this branch
	tagOnly bool      // without a payload
	payload []*member // the members of an inline payload
}

func newMessage(msg *protogen.Message, inPath map[*protogen.Field]bool) (*message, error) {
	m := &message{Message: msg}
	object := extension[*restv1.Object](msg.Desc, restv1.E_Object)
	if object.GetArray() {
		return m, m.setArray()
	}
	for _, c := range object.GetConstants() {
		if err := checkConstant(c); err != nil {
			return nil, err
		}
		index, err := m.number(c.GetName())
		if err != nil {
			return nil, err
		}
		m.constants = append(m.constants, constant{index, c.GetName(), c.GetJson()})
	}
	for _, field := range msg.Fields {
		if inPath[field] || memberOption(field).GetTypedOnly() {
			continue
		}
		if err := m.addField(field); err != nil {
			return nil, fmt.Errorf("%s: %w", field.Desc.Name(), err)
		}
	}
	for _, member := range m.members {
		if err := m.checkOptions(member); err != nil {
			return nil, fmt.Errorf("%s: %w", member.Desc.Name(), err)
		}
	}
	if m.remainder == nil {
		return nil, errors.New("requires a field string extra_json with FORMAT_REMAINDER")
	}
	if len(m.names) > restjson.MaxMembers {
		return nil, fmt.Errorf("has %d members; restjson.MaxMembers is %d", len(m.names), restjson.MaxMembers)
	}
	return m, nil
}

func (m *message) setArray() error {
	if len(m.Fields) != 1 || !m.Fields[0].Desc.IsList() {
		return errors.New("array requires a message with exactly one field, a list")
	}
	m.array = newMember(m.Fields[0])
	return checkKind(m.array)
}

// all returns the members of the message, including those of its union.
func (m *message) all() []*member {
	all := slices.Clone(m.members)
	if m.array != nil {
		all = append(all, m.array)
	}
	if m.union != nil {
		for _, b := range m.union.branches {
			switch {
			case b.tagOnly:
			case m.union.inline:
				all = append(all, b.payload...)
			default:
				all = append(all, b.member)
			}
		}
	}
	return all
}

func (m *message) addField(field *protogen.Field) error {
	added := newMember(field)
	if added.option.GetFormat() == restv1.Format_FORMAT_REMAINDER {
		// Error messages and the runtime expect this name.
		if field.Desc.Name() != "extra_json" || field.Desc.Kind() != protoreflect.StringKind || field.Desc.IsList() || field.Desc.HasPresence() {
			return errors.New("FORMAT_REMAINDER requires a field string extra_json")
		}
		m.remainder = field
		return nil
	}
	if err := checkKind(added); err != nil {
		return err
	}
	if inOneof(field) && added.option.GetPresence() != restv1.Presence_PRESENCE_UNSPECIFIED {
		return errors.New("presence does not apply to a branch of a oneof")
	}
	option := unionOption(field.Oneof)
	switch {
	case added.option.GetBare():
		if !inOneof(field) || m.bare != nil || field.Message != nil {
			return errors.New("bare requires a branch of a oneof that is not a message, and only one branch can be bare")
		}
		m.bare = added
		return nil
	case option.GetTag() != "":
		return m.addBranch(added, option)
	case option.GetInline():
		return errors.New("inline requires a tag")
	default:
		return m.addMember(added)
	}
}

func (m *message) addMember(added *member) (err error) {
	for _, other := range m.members {
		if other.name != added.name {
			continue
		}
		if other.other != nil || other.Desc.IsList() == added.Desc.IsList() || inOneof(other.Field) || inOneof(added.Field) {
			return fmt.Errorf("%s also maps to the member %q: one of two forms must be a list", other.Desc.Name(), added.name)
		}
		added.other, other.other = other, added
		added.index = other.index
	}
	if added.other == nil {
		if added.index, err = m.number(added.name); err != nil {
			return err
		}
	}
	if alias := added.option.GetAlias().GetName(); alias != "" {
		if added.alias, err = m.number(alias); err != nil {
			return err
		}
	}
	m.members = append(m.members, added)
	return nil
}

func (m *message) addBranch(added *member, option *restv1.Union) (err error) {
	if m.union == nil {
		m.union = &union{Oneof: added.Oneof, tag: option.GetTag(), inline: option.GetInline()}
		if m.union.index, err = m.number(option.GetTag()); err != nil {
			return err
		}
	}
	if m.union.Oneof != added.Oneof {
		return fmt.Errorf("the message already has a tagged union: %s", m.union.Desc.Name())
	}
	b := &branch{member: added, number: len(m.union.branches) + 1}
	m.union.branches = append(m.union.branches, b)
	switch {
	case m.union.inline:
		return m.addPayload(b)
	case added.Message != nil && len(added.Message.Fields) == 0:
		b.tagOnly = true
		return nil
	default:
		b.index, err = m.number(b.name)
		return err
	}
}

// addPayload adds the members of an inline payload. Branches may share members,
// because only one branch is present.
func (m *message) addPayload(b *branch) (err error) {
	if b.Message == nil {
		return errors.New("an inline branch must be a message")
	}
	for _, field := range b.Message.Fields {
		p := newMember(field)
		if err := checkKind(p); err != nil {
			return fmt.Errorf("%s: %w", field.Desc.Name(), err)
		}
		if inOneof(field) || p.option.GetFormat() == restv1.Format_FORMAT_REMAINDER || p.option.GetOutputOnly() || p.option.GetAlias() != nil {
			return fmt.Errorf("%s: an inline payload must have plain members only; extra_json belongs to the message of the union", field.Desc.Name())
		}
		switch shared, by := m.union.payload(p.name); {
		case shared == nil:
			p.index, err = m.number(p.name)
		case by == b:
			err = fmt.Errorf("%s has two members %q", b.Message.Desc.Name(), p.name)
		default:
			p.index = shared.index
		}
		if err != nil {
			return err
		}
		b.payload = append(b.payload, p)
	}
	return nil
}

// payload returns the member of an inline payload with this name, and its branch.
func (u *union) payload(name string) (*member, *branch) {
	for _, b := range u.branches {
		for _, p := range b.payload {
			if p.name == name {
				return p, b
			}
		}
	}
	return nil, nil
}

// number assigns a number to a member.
func (m *message) number(name string) (int, error) {
	if slices.Contains(m.names, name) {
		return 0, fmt.Errorf("the message has two members %q", name)
	}
	m.names = append(m.names, name)
	return len(m.names) - 1, nil
}

// aliasCondition returns the member whose presence selects the alias.
func (m *message) aliasCondition(alias *restv1.Alias) (*member, error) {
	field, err := fieldByName(m.Message, alias.GetWhenSet())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.members, func(m *member) bool { return m.Field == field })
	if i < 0 || !isPointer(field.Desc) || field.Desc.Kind() != protoreflect.StringKind {
		return nil, fmt.Errorf("when_set: %s must be an optional string", alias.GetWhenSet())
	}
	return m.members[i], nil
}

// checkOptions rejects options that do not match the other fields of the message.
func (m *message) checkOptions(member *member) (err error) {
	option := member.option
	if option.GetSingle() && !member.Desc.IsList() {
		return errors.New("single requires a list")
	}
	if alias := option.GetAlias(); alias != nil {
		if alias.GetName() == "" || member.other == nil || !member.Desc.IsList() {
			return errors.New("alias requires the list form of a member with two forms")
		}
		if member.whenSet, err = m.aliasCondition(alias); err != nil {
			return fmt.Errorf("alias: %w", err)
		}
	}
	when := option.GetNullWhen()
	if when == nil {
		return nil
	}
	if option.GetPresence() != restv1.Presence_PRESENCE_NULLABLE_IN_RESPONSE {
		return errors.New("null_when requires PRESENCE_NULLABLE_IN_RESPONSE")
	}
	field, err := fieldByName(m.Message, when.GetField())
	if err != nil {
		return fmt.Errorf("null_when: %w", err)
	}
	if field.Enum == nil || field.Desc.IsList() || field.Desc.HasPresence() || enumValue(field.Enum, when.GetValue()) == nil {
		return fmt.Errorf("null_when: %s must be an enum with the value %q", when.GetField(), when.GetValue())
	}
	return nil
}

func enumValue(enum *protogen.Enum, name string) *protogen.EnumValue {
	i := slices.IndexFunc(enum.Values, func(v *protogen.EnumValue) bool { return string(v.Desc.Name()) == name })
	if i < 0 {
		return nil
	}
	return enum.Values[i]
}

func newMember(field *protogen.Field) *member {
	option := memberOption(field)
	name := option.GetName()
	if name == "" {
		name = string(field.Desc.Name())
		if option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT {
			name = strings.TrimSuffix(name, "_json")
		}
	}
	return &member{Field: field, name: name, option: option, alias: -1}
}

// value returns the message type of the member's values, of the items if it is a
// list or map. It returns nil for other types.
func (m *member) value() *protogen.Message {
	if m.Desc.IsMap() {
		return m.Message.Fields[1].Message
	}
	return m.Message
}

// inOneof reports whether a field is a branch of a oneof. The oneofs of optional
// fields do not count.
func inOneof(field *protogen.Field) bool {
	return field.Oneof != nil && !field.Oneof.Desc.IsSynthetic()
}

func isTime(msg *protogen.Message) bool {
	return msg != nil && msg.Desc.FullName() == "google.protobuf.Timestamp"
}

// checkKind rejects types that the codec does not support.
func checkKind(m *member) error {
	value := m.Desc
	if value.IsMap() {
		if value.MapKey().Kind() != protoreflect.StringKind {
			return errors.New("the keys of a map must be strings")
		}
		value = value.MapValue()
	}
	switch value.Kind() {
	case protoreflect.BoolKind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind,
		protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.DoubleKind, protoreflect.MessageKind:
	default:
		return fmt.Errorf("unsupported type %s", value.Kind())
	}
	switch format := m.option.GetFormat(); {
	case m.Enum != nil && m.Desc.HasOptionalKeyword():
		return errors.New("an enum cannot be optional: 0 means not set")
	case format == restv1.Format_FORMAT_BYTE_ARRAY && value.Kind() != protoreflect.BytesKind:
		return errors.New("FORMAT_BYTE_ARRAY requires bytes")
	case format == restv1.Format_FORMAT_JSON_OBJECT && value.Kind() != protoreflect.StringKind:
		return errors.New("FORMAT_JSON_OBJECT requires a string")
	}
	return nil
}
