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

// TestParametersReachTheTarget sets the field of each parameter of the
// specification, and finds it by the parameter's name in the path or the query.
func TestParametersReachTheTarget(t *testing.T) {
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
			t.Errorf("%s: want %s, got %q", r.name, r.operation.Method, op.Method)
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
			t.Errorf("%s: want the path %s, got %s", r.name, path, got)
		}
		values, err := url.ParseQuery(gotQuery)
		if err != nil || values.Encode() != query.Encode() {
			t.Errorf("%s: want the query %v, got %v (%v)", r.name, query, values, err)
		}
	}
}

// set sets a field to a value that must be escaped where it can be, and returns
// that, and what comes behind its name.
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
		m.Set(field, protoreflect.ValueOfInt32(0)) // Zero is sent.
		return "0", ""
	case field.Kind() == protoreflect.EnumKind:
		last := field.Enum().Values().Get(field.Enum().Values().Len() - 1)
		m.Set(field, protoreflect.ValueOfEnum(last.Number()))
		return spelling(last), ""
	default:
		t.Fatalf("%s: there is no rule for its kind", field.FullName())
		return "", ""
	}
}
