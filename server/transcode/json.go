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

// jsonCodec reads and writes messages as Protobuf's JSON, which refuses what it
// can't read by name and line. It adds what to write instead.
type jsonCodec struct{ *connectproto.JSONCodec }

// UnmarshalRead implements [connect.Codec].
func (c jsonCodec) UnmarshalRead(ctx context.Context, src io.Reader, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return c.JSONCodec.UnmarshalRead(ctx, src, message)
	}
	err := decodeMessage(ctx, src, jsonOverhead, func(text []byte) error {
		if len(text) == 0 { // of which Protobuf's error says little
			return errors.New("zero-length payload is not a valid JSON object")
		}
		return c.UnmarshalOptions.Unmarshal(text, m) // Connect's would copy it first
	})
	if err == nil {
		return nil
	}
	if advice := adviceOn(err.Error(), m.ProtoReflect().Descriptor()); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

var invalidValue = regexp.MustCompile(`invalid value for (\w+) field (\w+): `)

// adviceOn is what helps against an error of Protobuf's JSON in a message, and
// empty where nothing is known to.
func adviceOn(failure string, message protoreflect.MessageDescriptor) string {
	if strings.Contains(failure, `unknown field "`) {
		return "fields have OpenAI's names; a parameter that this server doesn't know goes into extra_json"
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
			return name + " is the text of JSON: a string, in quotes"
		case listOf(field) != "":
			return name + " is a string; a list is " + listOf(field)
		}
	}
	return ""
}

// fieldsNamed are the fields of a message, and of those within, that have this
// name in JSON.
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

// valuesOf are the names of an enum's values, but for the one that is absent.
func valuesOf(enum protoreflect.EnumDescriptor) (names []string) {
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			names = append(names, string(value.Name()))
		}
	}
	return names
}

// listOf is the name of the field that has the list which a member may be too,
// as OpenAI's content is a text or parts. Empty if there is none.
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
