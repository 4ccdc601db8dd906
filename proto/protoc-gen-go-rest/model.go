package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// model holds the validated options of all files.
type model struct {
	byMessage map[*protogen.Message]*message
	byMethod  map[*protogen.Method]*operation
	usedEnums map[*protogen.Enum]bool // enums that are types of fields
}

func newModel(plugin *protogen.Plugin) (*model, error) {
	m := &model{
		byMessage: make(map[*protogen.Message]*message),
		byMethod:  make(map[*protogen.Method]*operation),
		usedEnums: make(map[*protogen.Enum]bool),
	}
	files := slices.DeleteFunc(slices.Clone(plugin.Files), func(f *protogen.File) bool { return !usesOptions(f) })
	if err := m.addOperations(files); err != nil {
		return nil, err
	}
	if err := m.addMessages(files); err != nil {
		return nil, err
	}
	for _, msg := range m.byMessage {
		if err := m.checkReferences(msg); err != nil {
			return nil, err
		}
	}
	for method, op := range m.byMethod {
		if err := m.checkCodecs(op); err != nil {
			return nil, fmt.Errorf("%s: %w", method.Desc.FullName(), err)
		}
	}
	return m, m.addEnums(files)
}

const annotations = "openaiconnect/rest/v1/annotations.proto"

// usesOptions reports whether a file imports the options.
func usesOptions(file *protogen.File) bool {
	imports := file.Desc.Imports()
	for i := range imports.Len() {
		if imports.Get(i).Path() == annotations {
			return true
		}
	}
	return false
}

func (m *model) addOperations(files []*protogen.File) error {
	for _, file := range files {
		for _, service := range file.Services {
			for _, method := range service.Methods {
				option := extension[*restv1.Operation](method.Desc, restv1.E_Operation)
				if option.GetPattern() == nil {
					continue
				}
				op, err := newOperation(method, option)
				if err != nil {
					return fmt.Errorf("%s: %w", method.Desc.FullName(), err)
				}
				m.byMethod[method] = op
			}
		}
	}
	return nil
}

// addMessages adds the messages that map to a JSON value. That excludes messages
// whose fields are query parameters, inline payloads of a union, and messages
// without fields, which are branches without a payload.
func (m *model) addMessages(files []*protogen.File) error {
	inPath := make(map[*protogen.Field]bool)
	isBody := make(map[*protogen.Message]bool)
	isQuery := make(map[*protogen.Message]bool)
	for _, op := range m.byMethod {
		for _, field := range op.inPath {
			inPath[field] = true
		}
		if op.hasBody() {
			isBody[op.Input] = true
		} else {
			isQuery[op.Input] = true
		}
	}
	inline := inlinePayloads(files)
	for _, file := range files {
		for _, msg := range allMessages(file.Messages) {
			if isQuery[msg] && !isBody[msg] || inline[msg] || len(msg.Fields) == 0 {
				continue
			}
			mapped, err := newMessage(msg, inPath)
			if err != nil {
				return fmt.Errorf("%s: %w", msg.Desc.FullName(), err)
			}
			m.byMessage[msg] = mapped
		}
	}
	return nil
}

// inlinePayloads returns the messages that are inline branches of a union.
func inlinePayloads(files []*protogen.File) map[*protogen.Message]bool {
	payloads := make(map[*protogen.Message]bool)
	for _, file := range files {
		for _, msg := range allMessages(file.Messages) {
			for _, oneof := range msg.Oneofs {
				if !unionOption(oneof).GetInline() {
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

// checkReferences rejects fields whose message type maps to no JSON value.
func (m *model) checkReferences(msg *message) error {
	for _, member := range msg.all() {
		value := member.value()
		if value == nil || isTime(value) || m.byMessage[value] != nil {
			continue
		}
		return fmt.Errorf("%s: %s has no codec: it must import %s, have fields, and be neither a query nor an inline payload",
			member.Desc.FullName(), value.Desc.FullName(), annotations)
	}
	return nil
}

func (m *model) checkCodecs(op *operation) error {
	if response := m.byMessage[op.Output]; response == nil || response.remainder == nil {
		return fmt.Errorf("the response %s must map to an object", op.Output.Desc.FullName())
	}
	if op.hasBody() && m.byMessage[op.Input] == nil {
		return fmt.Errorf("the request %s must map to an object", op.Input.Desc.FullName())
	}
	return nil
}

func (m *model) addEnums(files []*protogen.File) error {
	for _, file := range files {
		for _, msg := range allMessages(file.Messages) {
			for _, field := range msg.Fields {
				if field.Enum == nil || m.usedEnums[field.Enum] {
					continue
				}
				if err := checkEnum(field.Enum); err != nil {
					return fmt.Errorf("%s: %w", field.Enum.Desc.FullName(), err)
				}
				m.usedEnums[field.Enum] = true
			}
		}
	}
	return nil
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
	return slices.DeleteFunc(enums, func(e *protogen.Enum) bool { return !m.usedEnums[e] })
}

// allMessages returns the messages and their nested messages, without map
// entries.
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

func fieldByName(msg *protogen.Message, name string) (*protogen.Field, error) {
	for _, field := range msg.Fields {
		if string(field.Desc.Name()) == name {
			return field, nil
		}
	}
	return nil, fmt.Errorf("%s has no field %q", msg.Desc.Name(), name)
}

// extension returns the value of an option, or its zero value if it is not set.
func extension[T any](desc protoreflect.Descriptor, option protoreflect.ExtensionType) T {
	value, _ := proto.GetExtension(desc.Options(), option).(T)
	return value
}

func memberOption(field *protogen.Field) *restv1.Member {
	return extension[*restv1.Member](field.Desc, restv1.E_Member)
}

func unionOption(oneof *protogen.Oneof) *restv1.Union {
	if oneof == nil {
		return nil
	}
	return extension[*restv1.Union](oneof.Desc, restv1.E_Union)
}

// checkEnum rejects enums whose values are not distinct in JSON.
func checkEnum(enum *protogen.Enum) error {
	byName := make(map[string]protogen.GoIdent)
	numbers := make(map[protoreflect.EnumNumber]bool)
	for _, value := range enum.Values {
		number, text := value.Desc.Number(), jsonName(value)
		if numbers[number] {
			return errors.New("two values have the same number")
		}
		numbers[number] = true
		if number == 0 {
			continue
		}
		if other, taken := byName[text]; taken {
			return fmt.Errorf("%s and %s both map to %q", other.GoName, value.GoIdent.GoName, text)
		}
		byName[text] = value.GoIdent
	}
	return nil
}

// jsonName returns the JSON string of an enum value.
func jsonName(value *protogen.EnumValue) string {
	if text := extension[string](value.Desc, restv1.E_Value); text != "" {
		return text
	}
	prefix := screamingSnake(string(value.Parent.Desc.Name())) + "_"
	return strings.ToLower(strings.TrimPrefix(string(value.Desc.Name()), prefix))
}

// screamingSnake converts an enum's name to the prefix of its values by the rule
// of Buf's linter: `PromptCacheTTL` to `PROMPT_CACHE_TTL`.
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
