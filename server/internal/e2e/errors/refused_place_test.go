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

// place is where a message stands in an RPC's request: at the end of a path of
// fields. In a list it is the second item.
type place struct {
	method protoreflect.MethodDescriptor
	fields []protoreflect.FieldDescriptor
}

// placesOf are the places of all messages in a method's request: an outer one
// before those inside it, and these in the order of the fields.
func placesOf(method protoreflect.MethodDescriptor) []place {
	var places []place
	var visit func(p place)
	visit = func(p place) {
		places = append(places, p)
		for field := range fieldsOf(p.message()) {
			// A map's entry has no room for a field, and no request has a map of
			// messages. A message in one of its own type adds nothing.
			isNew := func(f protoreflect.FieldDescriptor) bool { return f.Message() != field.Message() }
			if field.Message() != nil && !field.IsMap() && all(p.fields, isNew) {
				visit(place{p.method, append(slices.Clip(p.fields), field)})
			}
		}
	}
	visit(place{method: method})
	return places
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

// message is the type of the message at the place.
func (p place) message() protoreflect.MessageDescriptor {
	if len(p.fields) == 0 {
		return p.method.Input()
	}
	return p.fields[len(p.fields)-1].Message()
}

// path names a field of the message, or with none the message itself, as an
// error does: `messages[1].role`.
func (p place) path(field ...protoreflect.FieldDescriptor) string {
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

func (p place) String() string {
	return string(p.method.Name()) + " " + p.path() + " (" + string(p.message().Name()) + ")"
}

// order is where in the schema a field of the message comes, among all that the
// request can hold.
func (p place) order(field protoreflect.FieldDescriptor) []int {
	var order []int
	for _, f := range append(slices.Clip(p.fields), field) {
		order = append(order, f.Index())
	}
	return order
}

// build makes a request that has the message at the place, and else only what it
// can't do without.
func (p place) build(t *testing.T) (request proto.Message, at protoreflect.Message) {
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

// fullRequest makes a request that has messages in as many places as it can at
// once, and returns these places.
func fullRequest(t *testing.T, method protoreflect.MethodDescriptor) (protoreflect.Message, []place) {
	t.Helper()
	root := newRequest(t, method)
	var places []place
	for _, p := range placesOf(method) {
		if p.isFree(root) {
			p.in(root)
			places = append(places, p)
		}
	}
	return root, places
}

// in returns the message at the place in a request, and puts it there if need
// be.
func (p place) in(root protoreflect.Message) protoreflect.Message {
	at := root
	for _, field := range p.fields {
		at = enter(at, field)
	}
	return at
}

// isFree reports whether the message can be put there without another message
// being lost: a union has one branch.
func (p place) isFree(root protoreflect.Message) bool {
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

// enter returns the message that stands in a field, and puts it there if need
// be: in a list behind a first item.
func enter(m protoreflect.Message, field protoreflect.FieldDescriptor) protoreflect.Message {
	// Fields of one name are forms of one member, of which there can be one.
	for other := range fieldsOf(m.Descriptor()) {
		if other != field && nameOf(other) == nameOf(field) {
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

// nameOf is the JSON member that a field maps to.
func nameOf(field protoreflect.FieldDescriptor) string {
	return cmp.Or(memberOf(field).GetName(), string(field.Name()))
}

func memberOf(field protoreflect.FieldDescriptor) *restv1.Member {
	member, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member)
	return member
}

// complete sets what a message can't do without, and of a union the first
// branch.
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

// fill sets a field that isn't set to a valid value.
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

// setEnum sets a field to a number, and in a list the second item.
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

// unknownNumber is the first number that an enum lacks: the one that it gets
// next.
func unknownNumber(enum protoreflect.EnumDescriptor) protoreflect.EnumNumber {
	number := protoreflect.EnumNumber(0)
	for enum.Values().ByNumber(number) != nil {
		number++
	}
	return number
}
