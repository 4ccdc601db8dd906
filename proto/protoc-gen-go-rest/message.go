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

	names     []string // the members that are known, by number
	constants []constant
	members   []*member
	union     *union // the message's tagged union, nil if it has none
	bare      *member
	array     *member
	remainder *protogen.Field
}

// constant is a member with one legal value.
type constant struct {
	index      int
	name, json string
}

// member is a member of a JSON object, and the field that has it.
type member struct {
	*protogen.Field

	index  int
	name   string
	option *restv1.Member
	// other is the field that has the member's other form.
	other *member
	// alias is the number of the member's other name, -1 if it has none.
	alias int
	// whenSet is the field whose presence says that the other name is used.
	whenSet *member
}

// union is a oneof that maps to a tagged union.
type union struct {
	*protogen.Oneof

	index    int
	tag      string
	beside   bool
	branches []*branch
}

// branch is a field of a tagged union.
type branch struct {
	*member

	number  int       // what Decoder.Tag returns for it
	tagOnly bool      // it has no payload
	payload []*member // with Union.beside, the members that stand beside the tag
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
		return nil, errors.New("needs a field for what it can't represent: string extra_json with FORMAT_REMAINDER")
	}
	if len(m.names) > restjson.MaxMembers {
		return nil, fmt.Errorf("has %d members; restjson.MaxMembers is %d", len(m.names), restjson.MaxMembers)
	}
	return m, nil
}

func (m *message) setArray() error {
	if len(m.Fields) != 1 || !m.Fields[0].Desc.IsList() {
		return errors.New("array: the message must have one field, a list")
	}
	m.array = newMember(m.Fields[0])
	return checkKind(m.array)
}

// all are the members of the message, wherever they stand.
func (m *message) all() []*member {
	all := slices.Clone(m.members)
	if m.array != nil {
		all = append(all, m.array)
	}
	if m.union != nil {
		for _, b := range m.union.branches {
			switch {
			case b.tagOnly:
			case m.union.beside:
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
		// Errors and ExtraHas call it by this name.
		if field.Desc.Name() != "extra_json" || field.Desc.Kind() != protoreflect.StringKind || field.Desc.IsList() || field.Desc.HasPresence() {
			return errors.New("FORMAT_REMAINDER is for string extra_json")
		}
		m.remainder = field
		return nil
	}
	if err := checkKind(added); err != nil {
		return err
	}
	if inOneof(field) && added.option.GetPresence() != restv1.Presence_PRESENCE_UNSPECIFIED {
		return errors.New("a branch of a oneof is written when it is set, whatever its presence")
	}
	option := unionOption(field.Oneof)
	switch {
	case added.option.GetBare():
		if !inOneof(field) || m.bare != nil || field.Message != nil {
			return errors.New("bare is for one branch of a oneof, which is no message")
		}
		m.bare = added
		return nil
	case option.GetTag() != "":
		return m.addBranch(added, option)
	case option.GetBeside():
		return errors.New("its oneof is beside a tag, but has no tag")
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
			return fmt.Errorf("%s is the member %q too: of two forms of a member, one must be a list", other.Desc.Name(), added.name)
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
		m.union = &union{Oneof: added.Oneof, tag: option.GetTag(), beside: option.GetBeside()}
		if m.union.index, err = m.number(option.GetTag()); err != nil {
			return err
		}
	}
	if m.union.Oneof != added.Oneof {
		return fmt.Errorf("the message has another tagged union, %s", m.union.Desc.Name())
	}
	b := &branch{member: added, number: len(m.union.branches) + 1}
	m.union.branches = append(m.union.branches, b)
	switch {
	case m.union.beside:
		return m.addPayload(b)
	case added.Message != nil && len(added.Message.Fields) == 0:
		b.tagOnly = true
		return nil
	default:
		b.index, err = m.number(b.name)
		return err
	}
}

// addPayload adds the members that stand beside the tag. Branches may share
// them, as only one is there.
func (m *message) addPayload(b *branch) (err error) {
	if b.Message == nil {
		return errors.New("what stands beside a tag must be a message")
	}
	for _, field := range b.Message.Fields {
		p := newMember(field)
		if err := checkKind(p); err != nil {
			return fmt.Errorf("%s: %w", field.Desc.Name(), err)
		}
		if inOneof(field) || p.option.GetFormat() == restv1.Format_FORMAT_REMAINDER || p.option.GetOutputOnly() || p.option.GetAlias() != nil {
			return fmt.Errorf("%s: what stands beside a tag must be a plain member; extra_json is the union's", field.Desc.Name())
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

// payload finds a member that stands beside the tag, and a branch that has it.
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

// number numbers a member.
func (m *message) number(name string) (int, error) {
	if slices.Contains(m.names, name) {
		return 0, fmt.Errorf("the message has two members %q", name)
	}
	m.names = append(m.names, name)
	return len(m.names) - 1, nil
}

// aliasCondition is the member whose presence says that an alias is used.
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

// checkOptions refuses options that don't fit to the message's other fields.
func (m *message) checkOptions(member *member) (err error) {
	option := member.option
	if option.GetSingle() && !member.Desc.IsList() {
		return errors.New("single is for lists")
	}
	if alias := option.GetAlias(); alias != nil {
		if alias.GetName() == "" || member.other == nil || !member.Desc.IsList() {
			return errors.New("alias is for the list of a member that has another form")
		}
		if member.whenSet, err = m.aliasCondition(alias); err != nil {
			return fmt.Errorf("alias: %w", err)
		}
	}
	when := option.GetNullWhen()
	if when == nil {
		return nil
	}
	if option.GetPresence() != restv1.Presence_PRESENCE_NULLABLE_IN_REPLY {
		return errors.New("null_when is for PRESENCE_NULLABLE_IN_REPLY")
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

// value is the message that the member has, or has a list or map of. Nil where
// it has none.
func (m *member) value() *protogen.Message {
	if m.Desc.IsMap() {
		return m.Message.Fields[1].Message
	}
	return m.Message
}

// inOneof reports whether a field is a branch of a oneof that a .proto file
// spells out.
func inOneof(field *protogen.Field) bool {
	return field.Oneof != nil && !field.Oneof.Desc.IsSynthetic()
}

func isTime(msg *protogen.Message) bool {
	return msg != nil && msg.Desc.FullName() == "google.protobuf.Timestamp"
}

// checkKind refuses what the codec has no rule for.
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
		return fmt.Errorf("the codec has no rule for %s", value.Kind())
	}
	switch format := m.option.GetFormat(); {
	case m.Enum != nil && m.Desc.HasOptionalKeyword():
		return errors.New("an enum is absent when it is 0: it can't be optional")
	case format == restv1.Format_FORMAT_OCTETS && value.Kind() != protoreflect.BytesKind:
		return errors.New("FORMAT_OCTETS is for bytes")
	case format == restv1.Format_FORMAT_JSON_OBJECT && value.Kind() != protoreflect.StringKind:
		return errors.New("FORMAT_JSON_OBJECT is for strings")
	}
	return nil
}
