package fidelity_test

import (
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// The test sets the field of each parameter of the specification and finds its value
// in the path or the query under the parameter's name.
func TestTarget_ContainsParameters(t *testing.T) {
	t.Parallel()
	rpcs, problems := matchRPCs(openapi.Specification(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	operations := make(map[string]restjson.Operation)
	for _, op := range chatv1.ChatServiceREST() {
		operations[op.Procedure] = op
	}
	for _, r := range rpcs {
		op := operations["/openaiconnect.chat.v1.ChatService/"+string(r.name)]
		if op.Method != r.operation.Method {
			t.Errorf("%s: got method %[3]q, want %[2]s", r.name, r.operation.Method, op.Method)
		}
		request := op.NewRequest()
		path, query := r.operation.Path, make(url.Values)
		for _, p := range r.operation.Parameters {
			field := request.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(p.Name))
			value, name := set(t, request.ProtoReflect(), field)
			if p.In == "path" {
				path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(value), 1)
			} else {
				query.Set(p.Name+name, value)
			}
		}
		target, err := op.Target(nil, request)
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
			continue
		}
		got, gotQuery, _ := strings.Cut(string(target), "?")
		if got != path {
			t.Errorf("%s: got path %[3]s, want %[2]s", r.name, path, got)
		}
		values, err := url.ParseQuery(gotQuery)
		if err != nil || values.Encode() != query.Encode() {
			t.Errorf("%s: got query %[3]v, want %[2]v (%[4]v)", r.name, query, values, err)
		}
	}
}

// set sets a field to a value that needs escaping if possible. It returns the value
// and the suffix of the parameter's name.
func set(t *testing.T, m protoreflect.Message, field protoreflect.FieldDescriptor) (value, name string) {
	t.Helper()
	const text = "a/ü&=+%?#."
	switch {
	case field.IsMap():
		m.Mutable(field).Map().Set(protoreflect.ValueOfString("k&[ü]").MapKey(), protoreflect.ValueOfString(text))
		return text, "[k&[ü]]"
	case field.Kind() == protoreflect.StringKind:
		m.Set(field, protoreflect.ValueOfString(text))
		return text, ""
	case field.Kind() == protoreflect.Int32Kind:
		m.Set(field, protoreflect.ValueOfInt32(0)) // Zero must be sent.
		return "0", ""
	case field.Kind() == protoreflect.EnumKind:
		last := field.Enum().Values().Get(field.Enum().Values().Len() - 1)
		m.Set(field, protoreflect.ValueOfEnum(last.Number()))
		return spelling(last), ""
	default:
		t.Fatalf("%s: unsupported kind", field.FullName())
		return "", ""
	}
}
