package conformance_test

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// message accesses fields by their names in the .proto files, because there is no
// generated code for them. An unknown name panics.
type message struct{ protoreflect.Message }

// newMessage returns an empty message of a registered type.
func newMessage(name protoreflect.FullName) message {
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return message{messageType.New()}
}

func (m message) field(name protoreflect.Name) protoreflect.FieldDescriptor {
	field := m.Descriptor().Fields().ByName(name)
	if field == nil {
		panic(fmt.Sprintf("%s has no field %s", m.Descriptor().FullName(), name))
	}
	return field
}

func (m message) has(name protoreflect.Name) bool {
	return m.Has(m.field(name))
}

func (m message) get(name protoreflect.Name) protoreflect.Value {
	return m.Get(m.field(name))
}

// message returns a message field to read. The result is empty if the field is unset.
func (m message) message(name protoreflect.Name) message {
	return message{m.get(name).Message()}
}

// messages yields the elements of a repeated message field to read.
func (m message) messages(name protoreflect.Name) iter.Seq[message] {
	return func(yield func(message) bool) {
		list := m.get(name).List()
		for i := range list.Len() {
			if !yield(message{list.Get(i).Message()}) {
				return
			}
		}
	}
}

func (m message) set(name protoreflect.Name, value protoreflect.Value) {
	m.Set(m.field(name), value)
}

// mutable returns a message field to modify and sets the field if it is unset.
func (m message) mutable(name protoreflect.Name) message {
	return message{m.Mutable(m.field(name)).Message()}
}

// append appends a value to a repeated field of scalars.
func (m message) append(name protoreflect.Name, value protoreflect.Value) {
	m.Mutable(m.field(name)).List().Append(value)
}

// add appends an element to a repeated message field and returns it for modification.
func (m message) add(name protoreflect.Name) message {
	return message{m.Mutable(m.field(name)).List().AppendMutable().Message()}
}
