package transcode

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// checkUnknown returns an error for a message that contains an unknown field at any
// depth, such as the field of a newer client. Dropping it would change the request.
// The error names the first one in the order of the schema.
func checkUnknown(m protoreflect.Message) error {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return &restjson.FieldError{Reason: fmt.Sprintf(
			"unknown field number %[2]d of %[1]s: remove it, or use a newer server", m.Descriptor().FullName(), number)}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || !m.Has(field) {
			continue
		}
		if err := checkUnknownIn(field, m.Get(field)); err != nil {
			return restjson.Field(string(field.Name()), err)
		}
	}
	return nil
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
