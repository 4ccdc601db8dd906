package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// jsonCodec is the codec of Protobuf's JSON. Its errors name the field and the line;
// the codec adds a hint about the expected value.
type jsonCodec struct{ *connectproto.JSONCodec }

// UnmarshalRead implements [connect.Codec].
func (c jsonCodec) UnmarshalRead(ctx context.Context, src io.Reader, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return c.JSONCodec.UnmarshalRead(ctx, src, message)
	}
	err := decodeMessage(ctx, src, jsonOverhead, func(text []byte) error {
		if len(text) == 0 { // Protobuf's error is unclear
			return errors.New("zero-length payload is not a valid JSON object")
		}
		return c.UnmarshalOptions.Unmarshal(text, m) // unlike Connect's codec, without a copy
	})
	if err == nil {
		return nil
	}
	if advice := hint(err.Error(), m.ProtoReflect().Descriptor()); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

var invalidValue = regexp.MustCompile(`invalid value for (\w+) field (\w+): `)

// hint returns advice for an error of Protobuf's JSON in a message, or an empty
// string.
func hint(failure string, message protoreflect.MessageDescriptor) string {
	if strings.Contains(failure, `unknown field "`) {
		return "fields have OpenAI's names; put a parameter unknown to this server into extra_json"
	}
	match := invalidValue.FindStringSubmatch(failure)
	if match == nil {
		return ""
	}
	for _, field := range fieldsNamed(match[2], message, make(map[protoreflect.FullName]bool)) {
		name := string(field.Name())
		switch {
		case match[1] == "enum" && field.Enum() != nil:
			return name + " is one of " + strings.Join(valuesOf(field.Enum()), ", ")
		case match[1] != "string" || field.Kind() != protoreflect.StringKind:
		case strings.HasSuffix(name, "_json"):
			return name + " is a string that contains JSON"
		case listOf(field) != "":
			return name + " is a string; a list is " + listOf(field)
		}
	}
	return ""
}

// fieldsNamed returns the fields of a message and of its nested messages with a JSON
// name.
func fieldsNamed(name string, message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) (found []protoreflect.FieldDescriptor) {
	if seen[message.FullName()] {
		return nil
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if field.JSONName() == name {
			found = append(found, field)
		}
		if field.Message() != nil {
			found = append(found, fieldsNamed(name, field.Message(), seen)...)
		}
	}
	return found
}

// valuesOf returns the names of an enum's values except the unspecified one.
func valuesOf(enum protoreflect.EnumDescriptor) (names []string) {
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			names = append(names, string(value.Name()))
		}
	}
	return names
}

// listOf returns the name of the list field for the same JSON field, or an empty
// string. For example, OpenAI's content is a string or a list of parts.
func listOf(field protoreflect.FieldDescriptor) string {
	fields := field.ContainingMessage().Fields()
	for i := range fields.Len() {
		other := fields.Get(i)
		member, _ := proto.GetExtension(other.Options(), restv1.E_Member).(*restv1.Member)
		if other.IsList() && member.GetName() == string(field.Name()) {
			return string(other.Name())
		}
	}
	return ""
}
