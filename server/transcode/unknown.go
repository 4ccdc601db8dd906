package transcode

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

// checkUnknownIn is checkUnknown for the messages in a field, which is of their
// kind.
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
