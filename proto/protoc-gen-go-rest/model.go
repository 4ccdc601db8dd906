package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// model is what the options of all files say, checked.
type model struct {
	byMessage map[*protogen.Message]*message
	byMethod  map[*protogen.Method]*operation
	reached   map[*protogen.Enum]bool // enums that are values of members
}

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

// operation is an RPC with its REST operation.
type operation struct {
	*protogen.Method
	verb, path string
	option     *restv1.Operation
	inPath     []*protogen.Field
	stream     *stream
}

// stream is the fields by which a stream's end is judged.
type stream struct {
	done                     string
	list, key, member, count *protogen.Field
}

func newModel(plugin *protogen.Plugin) (*model, error) {
	m := &model{
		byMessage: make(map[*protogen.Message]*message),
		byMethod:  make(map[*protogen.Method]*operation),
		reached:   make(map[*protogen.Enum]bool),
	}
	inPath := make(map[*protogen.Field]bool)
	isQuery := make(map[*protogen.Message]bool)
	for _, file := range plugin.Files {
		for _, service := range file.Services {
			for _, method := range service.Methods {
				op, err := newOperation(method)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", method.Desc.FullName(), err)
				}
				if op == nil {
					continue
				}
				m.byMethod[method] = op
				for _, field := range op.inPath {
					inPath[field] = true
				}
				isQuery[method.Input] = op.option.GetBody() == ""
			}
		}
	}
	beside := besidePayloads(plugin)
	for _, file := range plugin.Files {
		for _, msg := range allMessages(file.Messages) {
			if isQuery[msg] || !usesOptions(file) {
				continue
			}
			if beside[msg] || len(msg.Fields) == 0 {
				continue
			}
			mapped, err := newMessage(msg, inPath)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", msg.Desc.FullName(), err)
			}
			m.byMessage[msg] = mapped
		}
	}
	for _, file := range plugin.Files {
		if !usesOptions(file) {
			continue
		}
		for _, msg := range allMessages(file.Messages) {
			for _, field := range msg.Fields {
				if field.Enum != nil {
					m.reached[field.Enum] = true
				}
			}
		}
	}
	return m, nil
}

const annotations = "openai/rest/v1/annotations.proto"

// usesOptions reports whether a file takes part in the mapping.
func usesOptions(file *protogen.File) bool {
	imports := file.Desc.Imports()
	for i := range imports.Len() {
		if imports.Get(i).Path() == annotations {
			return true
		}
	}
	return false
}

// besidePayloads are the messages whose members stand beside a tag: they are
// part of the union's message.
func besidePayloads(plugin *protogen.Plugin) map[*protogen.Message]bool {
	payloads := make(map[*protogen.Message]bool)
	for _, file := range plugin.Files {
		for _, msg := range allMessages(file.Messages) {
			for _, oneof := range msg.Oneofs {
				if !unionOption(oneof).GetBeside() {
					continue
				}
				for _, field := range oneof.Fields {
					payloads[field.Message] = true
				}
			}
		}
	}
	return payloads
}

func newMessage(msg *protogen.Message, inPath map[*protogen.Field]bool) (*message, error) {
	object := extension[*restv1.Object](msg.Desc, restv1.E_Object)
	m := &message{Message: msg}
	if object.GetArray() {
		if len(msg.Fields) != 1 || !msg.Fields[0].Desc.IsList() {
			return nil, fmt.Errorf("array: the message must have one field, a list")
		}
		m.array = newMember(msg.Fields[0])
		return m, nil
	}
	for _, c := range object.GetConstants() {
		m.constants = append(m.constants, constant{m.number(c.GetName()), c.GetName(), c.GetJson()})
	}
	for _, field := range msg.Fields {
		option := memberOption(field)
		switch {
		case inPath[field] || option.GetTypedOnly():
			continue
		case option.GetFormat() == restv1.Format_FORMAT_REMAINDER:
			m.remainder = field
			continue
		}
		if err := checkField(field, option); err != nil {
			return nil, fmt.Errorf("%s: %w", field.Desc.Name(), err)
		}
		if u := unionOption(field.Oneof); u.GetTag() != "" {
			m.addBranch(field, u)
			continue
		}
		if option.GetBare() {
			m.bare = newMember(field)
			continue
		}
		m.addMember(newMember(field))
	}
	if m.remainder == nil {
		return nil, fmt.Errorf("needs a field for what it can't represent: string extra_json with FORMAT_REMAINDER")
	}
	if len(m.names) > restjson.MaxMembers {
		return nil, fmt.Errorf("has %d members; restjson.MaxMembers is %d", len(m.names), restjson.MaxMembers)
	}
	return m, nil
}

func (m *message) addMember(added *member) {
	for _, other := range m.members {
		if other.name == added.name {
			added.other, other.other = other, added
		}
	}
	added.index = m.number(added.name)
	if alias := added.option.GetAlias().GetName(); alias != "" {
		added.alias = m.number(alias)
	}
	m.members = append(m.members, added)
}

func (m *message) addBranch(field *protogen.Field, option *restv1.Union) {
	if m.union == nil {
		m.union = &union{
			Oneof: field.Oneof, tag: option.GetTag(), beside: option.GetBeside(),
			index: m.number(option.GetTag()),
		}
	}
	b := &branch{member: newMember(field), number: len(m.union.branches) + 1}
	switch {
	case b.option.GetBare():
		m.bare = b.member
		return
	case m.union.beside:
		for _, f := range field.Message.Fields {
			p := newMember(f)
			p.index = m.number(p.name)
			b.payload = append(b.payload, p)
		}
	case field.Message != nil && len(field.Message.Fields) == 0:
		b.tagOnly = true
	default:
		b.index = m.number(b.name)
	}
	m.union.branches = append(m.union.branches, b)
}

// number returns the number of a known member.
func (m *message) number(name string) int {
	if i := slices.Index(m.names, name); i >= 0 {
		return i
	}
	m.names = append(m.names, name)
	return len(m.names) - 1
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

// checkField refuses what the codec has no rule for.
func checkField(field *protogen.Field, option *restv1.Member) error {
	if field.Desc.IsMap() && field.Desc.MapKey().Kind() != protoreflect.StringKind {
		return fmt.Errorf("the keys of a map must be strings")
	}
	value := field.Desc
	if value.IsMap() {
		value = value.MapValue()
	}
	switch value.Kind() {
	case protoreflect.BoolKind, protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind,
		protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.DoubleKind, protoreflect.MessageKind:
	default:
		return fmt.Errorf("the codec has no rule for %s", value.Kind())
	}
	if option.GetFormat() == restv1.Format_FORMAT_OCTETS && value.Kind() != protoreflect.BytesKind {
		return fmt.Errorf("FORMAT_OCTETS is for bytes")
	}
	if option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT && value.Kind() != protoreflect.StringKind {
		return fmt.Errorf("FORMAT_JSON_OBJECT is for strings")
	}
	return nil
}

func newOperation(method *protogen.Method) (*operation, error) {
	option := extension[*restv1.Operation](method.Desc, restv1.E_Operation)
	op := &operation{Method: method, option: option}
	switch pattern := option.GetPattern().(type) {
	case nil:
		return nil, nil
	case *restv1.Operation_Get:
		op.verb, op.path = "GET", pattern.Get
	case *restv1.Operation_Post:
		op.verb, op.path = "POST", pattern.Post
	case *restv1.Operation_Delete:
		op.verb, op.path = "DELETE", pattern.Delete
	}
	if !strings.HasPrefix(op.path, "/") {
		return nil, fmt.Errorf("the path %q must begin with a slash", op.path)
	}
	if option.GetBody() != "" && option.GetBody() != "*" {
		return nil, fmt.Errorf(`the body must be "*" or absent`)
	}
	if streams := option.GetEventStream() != nil; streams != method.Desc.IsStreamingServer() {
		return nil, fmt.Errorf("a method streams if and only if it has an event_stream")
	}
	for segment := range strings.SplitSeq(op.path, "/") {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		field, err := fieldByName(method.Input, strings.Trim(segment, "{}"))
		if err != nil {
			return nil, err
		}
		op.inPath = append(op.inPath, field)
	}
	if option.GetEventStream() == nil {
		return op, nil
	}
	var err error
	op.stream, err = newStream(method, option.GetEventStream())
	return op, err
}

func newStream(method *protogen.Method, option *restv1.EventStream) (*stream, error) {
	finish := option.GetFinish()
	s := &stream{done: option.GetDone()}
	var errs [4]error
	if s.list, errs[0] = fieldByName(method.Output, finish.GetList()); errs[0] == nil {
		s.key, errs[1] = fieldByName(s.list.Message, finish.GetKey())
		s.member, errs[2] = fieldByName(s.list.Message, finish.GetMember())
	}
	s.count, errs[3] = fieldByName(method.Input, finish.GetCount())
	return s, errors.Join(errs[:]...)
}

func fieldByName(msg *protogen.Message, name string) (*protogen.Field, error) {
	for _, field := range msg.Fields {
		if string(field.Desc.Name()) == name {
			return field, nil
		}
	}
	return nil, fmt.Errorf("%s has no field %q", msg.Desc.Name(), name)
}

func (m *model) operations(file *protogen.File) map[*protogen.Method]*operation {
	ops := make(map[*protogen.Method]*operation)
	for _, service := range file.Services {
		for _, method := range service.Methods {
			if op := m.byMethod[method]; op != nil {
				ops[method] = op
			}
		}
	}
	return ops
}

func (m *model) messages(file *protogen.File) []*message {
	var mapped []*message
	for _, msg := range allMessages(file.Messages) {
		if found := m.byMessage[msg]; found != nil {
			mapped = append(mapped, found)
		}
	}
	return mapped
}

func (m *model) enums(file *protogen.File) []*protogen.Enum {
	enums := slices.Clone(file.Enums)
	for _, msg := range allMessages(file.Messages) {
		enums = append(enums, msg.Enums...)
	}
	return slices.DeleteFunc(enums, func(e *protogen.Enum) bool { return !m.reached[e] || !usesOptionsDesc(e.Desc) })
}

func usesOptionsDesc(desc protoreflect.Descriptor) bool {
	return desc.ParentFile().Path() != annotations
}

// allMessages are messages and those nested in them, without the entries of
// maps.
func allMessages(messages []*protogen.Message) []*protogen.Message {
	var all []*protogen.Message
	for _, msg := range messages {
		if msg.Desc.IsMapEntry() {
			continue
		}
		all = append(all, msg)
		all = append(all, allMessages(msg.Messages)...)
	}
	return all
}

func memberOption(field *protogen.Field) *restv1.Member {
	return extension[*restv1.Member](field.Desc, restv1.E_Member)
}

func unionOption(oneof *protogen.Oneof) *restv1.Union {
	if oneof == nil || oneof.Desc.IsSynthetic() {
		return nil
	}
	return extension[*restv1.Union](oneof.Desc, restv1.E_Union)
}

// extension returns an option, and its zero value where it isn't set.
func extension[T any](desc protoreflect.Descriptor, option protoreflect.ExtensionType) T {
	value, _ := proto.GetExtension(desc.Options(), option).(T)
	return value
}

// spelling is the JSON string of an enum value.
func spelling(value *protogen.EnumValue) string {
	if text := extension[string](value.Desc, restv1.E_Value); text != "" {
		return text
	}
	prefix := screamingSnake(string(value.Parent.Desc.Name())) + "_"
	return strings.ToLower(strings.TrimPrefix(string(value.Desc.Name()), prefix))
}

// screamingSnake is an enum's name as the prefix of its values, by the rule of
// Buf's linter: `PromptCacheTTL` is `PROMPT_CACHE_TTL`.
func screamingSnake(name string) string {
	var b strings.Builder
	for i := range len(name) {
		upper := func(i int) bool { return i < len(name) && 'A' <= name[i] && name[i] <= 'Z' }
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ToUpper(b.String())
}
