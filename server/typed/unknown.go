package typed

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// checkUnknown refuses a message that has, at any depth, a field which this
// server doesn't know: a newer client's. To drop it would change what the
// caller asked for.
func checkUnknown(m protoreflect.Message) (err error) {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return &restjson.FieldError{Reason: fmt.Sprintf(
			"%s has no field number %d in this server's version: leave it out, or use a newer server", m.Descriptor().FullName(), number)}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		name := string(field.Name())
		switch {
		case field.IsMap():
			if field.MapValue().Message() == nil {
				return true
			}
			value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				if err = checkUnknown(value.Message()); err != nil {
					err = restjson.Field(name, restjson.Key(key.String(), err))
				}
				return err == nil
			})
		case field.Message() == nil:
		case field.IsList():
			list := value.List()
			for i := 0; i < list.Len() && err == nil; i++ {
				if err = checkUnknown(list.Get(i).Message()); err != nil {
					err = restjson.Field(name, restjson.Index(i, err))
				}
			}
		default:
			if err = checkUnknown(value.Message()); err != nil {
				err = restjson.Field(name, err)
			}
		}
		return err == nil
	})
	return err
}
