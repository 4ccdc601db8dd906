package typed

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// checkUnknown refuses a message that has, at any depth, a field which this
// server doesn't know: a newer client's. To drop it would change what the
// caller asked for. Of several, the first in the order of the schema is named.
func checkUnknown(m protoreflect.Message) error {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return &restjson.FieldError{Reason: fmt.Sprintf(
			"%s has no field number %d in this server's version: leave it out, or use a newer server", m.Descriptor().FullName(), number)}
	}
	var first error
	var at protoreflect.FieldDescriptor
	// Range has an order of its own, which differs from build to build.
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if first != nil && at.Index() < field.Index() {
			return true
		}
		if err := checkUnknownIn(field, value); err != nil {
			first, at = restjson.Field(string(field.Name()), err), field
		}
		return true
	})
	return first
}

// checkUnknownIn is checkUnknown for the messages in a field.
func checkUnknownIn(field protoreflect.FieldDescriptor, value protoreflect.Value) (err error) {
	switch {
	case field.IsMap():
		if field.MapValue().Message() == nil {
			return nil
		}
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			if err = checkUnknown(value.Message()); err != nil {
				err = restjson.Key(key.String(), err)
			}
			return err == nil
		})
		return err
	case field.Message() == nil:
		return nil
	case field.IsList():
		list := value.List()
		for i := range list.Len() {
			if err := checkUnknown(list.Get(i).Message()); err != nil {
				return restjson.Index(i, err)
			}
		}
		return nil
	default:
		return checkUnknown(value.Message())
	}
}
