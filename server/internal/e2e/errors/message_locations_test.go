package errors_test

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// location is the position of a message in an RPC's request, given as a path of
// fields. In a list it is the second item.
type location struct {
	method protoreflect.MethodDescriptor
	fields []protoreflect.FieldDescriptor
}

// locationsOf returns the locations of all messages in a method's request: an
// outer message before its inner messages, which follow the order of the fields.
func locationsOf(method protoreflect.MethodDescriptor) []location {
	var locations []location
	var visit func(p location)
	visit = func(p location) {
		locations = append(locations, p)
		for field := range fieldsOf(p.message()) {
			// Map entries have no unknown fields, and no request has a map of messages. A
			// recursive message adds nothing.
			isNew := func(f protoreflect.FieldDescriptor) bool { return f.Message() != field.Message() }
			if field.Message() != nil && !field.IsMap() && all(p.fields, isNew) {
				visit(location{p.method, append(slices.Clip(p.fields), field)})
			}
		}
	}
	visit(location{method: method})
	return locations
}

func all[T any](items []T, holds func(T) bool) bool {
	return !slices.ContainsFunc(items, func(item T) bool { return !holds(item) })
}

func fieldsOf(message protoreflect.MessageDescriptor) iter.Seq[protoreflect.FieldDescriptor] {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		for i := range message.Fields().Len() {
			if !yield(message.Fields().Get(i)) {
				return
			}
		}
	}
}

// message returns the type of the message at the location.
func (p location) message() protoreflect.MessageDescriptor {
	if len(p.fields) == 0 {
		return p.method.Input()
	}
	return p.fields[len(p.fields)-1].Message()
}

// path returns the path of a field of the message, or of the message itself, as
// errors show it: `messages[1].role`.
func (p location) path(field ...protoreflect.FieldDescriptor) string {
	var names []string
	for _, f := range slices.Concat(p.fields, field) {
		name := string(f.Name())
		if f.IsList() {
			name += "[1]"
		}
		names = append(names, name)
	}
	return strings.Join(names, ".")
}

func (p location) String() string {
	return string(p.method.Name()) + " " + p.path() + " (" + string(p.message().Name()) + ")"
}

// order returns the position of a field of the message in the schema, for
// sorting.
func (p location) order(field protoreflect.FieldDescriptor) []int {
	var order []int
	for _, f := range append(slices.Clip(p.fields), field) {
		order = append(order, f.Index())
	}
	return order
}

// build returns a request that has the message at the location, and otherwise only
// required fields.
func (p location) build(t *testing.T) (request proto.Message, at protoreflect.Message) {
	t.Helper()
	root := newRequest(t, p.method)
	return root.Interface(), p.in(root)
}

func newRequest(t *testing.T, method protoreflect.MethodDescriptor) protoreflect.Message {
	t.Helper()
	found, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	root := found.New()
	complete(root)
	return root
}

// fullRequest returns a request with messages in as many locations as possible at
// once, and these locations.
func fullRequest(t *testing.T, method protoreflect.MethodDescriptor) (protoreflect.Message, []location) {
	t.Helper()
	root := newRequest(t, method)
	var locations []location
	for _, p := range locationsOf(method) {
		if p.isFree(root) {
			p.in(root)
			locations = append(locations, p)
		}
	}
	return root, locations
}

// in returns the message at the location in a request, and creates it if it is
// absent.
func (p location) in(root protoreflect.Message) protoreflect.Message {
	at := root
	for _, field := range p.fields {
		at = enter(at, field)
	}
	return at
}

// isFree reports whether the message can be set without clearing another message
// of a oneof.
func (p location) isFree(root protoreflect.Message) bool {
	at := root
	for _, field := range p.fields {
		if union := field.ContainingOneof(); union != nil && !at.Has(field) {
			set := at.WhichOneof(union)
			return set == nil || set.Message() == nil
		}
		at = enter(at, field)
	}
	return true
}

// enter returns the message in a field, and creates it if it is absent. In a list
// it is the second item.
func enter(m protoreflect.Message, field protoreflect.FieldDescriptor) protoreflect.Message {
	// Fields with the same JSON name exclude each other.
	for other := range fieldsOf(m.Descriptor()) {
		if other != field && jsonNameOf(other) == jsonNameOf(field) {
			m.Clear(other)
		}
	}
	if field.IsList() {
		list := m.Mutable(field).List()
		for list.Len() < 2 {
			complete(list.AppendMutable().Message())
		}
		return list.Get(1).Message()
	}
	had := m.Has(field)
	inside := m.Mutable(field).Message()
	if !had {
		complete(inside)
	}
	return inside
}

// jsonNameOf returns the JSON name of a field.
func jsonNameOf(field protoreflect.FieldDescriptor) string {
	return cmp.Or(memberOf(field).GetName(), string(field.Name()))
}

func memberOf(field protoreflect.FieldDescriptor) *restv1.Member {
	member, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member)
	return member
}

// complete sets the required fields of a message, and the first field of each
// oneof.
func complete(m protoreflect.Message) {
	for field := range fieldsOf(m.Descriptor()) {
		presence := memberOf(field).GetPresence()
		isRequired := presence == restv1.Presence_PRESENCE_REQUIRED || presence == restv1.Presence_PRESENCE_MANDATORY
		union := field.ContainingOneof()
		isFirstBranch := union != nil && !union.IsSynthetic() && m.WhichOneof(union) == nil
		isText := field.Kind() == protoreflect.StringKind && !field.HasPresence() && memberOf(field).GetFormat() == 0
		if isRequired || isFirstBranch || isText && !field.IsList() && !field.IsMap() {
			fill(m, field)
		}
	}
}

// fill sets an unset field to a valid value.
func fill(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case field.IsMap():
	case field.IsList() && field.Message() != nil:
		complete(m.Mutable(field).List().AppendMutable().Message())
	case field.IsList():
	case field.Message() != nil:
		complete(m.Mutable(field).Message())
	case field.Kind() == protoreflect.StringKind:
		m.Set(field, protoreflect.ValueOfString("a"))
	case field.Kind() == protoreflect.EnumKind:
		m.Set(field, protoreflect.ValueOfEnum(1))
	}
}

// setEnum sets a field, or the second item of a list, to a number.
func setEnum(m protoreflect.Message, field protoreflect.FieldDescriptor, number protoreflect.EnumNumber) {
	value := protoreflect.ValueOfEnum(number)
	if !field.IsList() {
		m.Set(field, value)
		return
	}
	list := m.Mutable(field).List()
	list.Truncate(0)
	list.Append(protoreflect.ValueOfEnum(1))
	list.Append(value)
}

// unknownNumber returns the smallest number that is not a value of an enum.
func unknownNumber(enum protoreflect.EnumDescriptor) protoreflect.EnumNumber {
	number := protoreflect.EnumNumber(0)
	for enum.Values().ByNumber(number) != nil {
		number++
	}
	return number
}
