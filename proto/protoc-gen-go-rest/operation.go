package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// operation is an RPC and its REST operation.
type operation struct {
	*protogen.Method

	verb, path string
	option     *restv1.Operation
	inPath     []*protogen.Field
	stream     *stream
}

// stream holds the fields that determine whether a stream is complete.
type stream struct {
	done                     string
	list, key, member, count *protogen.Field
	unaryVariant             *unaryVariant // nil without the option
}

// unaryVariant is the unary RPC that returns the response of a stream in one message.
type unaryVariant struct {
	method      *protogen.Method
	full, delta *protogen.Field
	indexed     []*protogen.Field
}

func (op *operation) hasBody() bool { return op.option.GetBody() != "" }

func newOperation(method *protogen.Method, option *restv1.Operation) (*operation, error) {
	op := &operation{Method: method, option: option}
	switch pattern := option.GetPattern().(type) {
	case *restv1.Operation_Get:
		op.verb, op.path = "GET", pattern.Get
	case *restv1.Operation_Post:
		op.verb, op.path = "POST", pattern.Post
	case *restv1.Operation_Delete:
		op.verb, op.path = "DELETE", pattern.Delete
	}
	if option.GetBody() != "" && option.GetBody() != "*" {
		return nil, errors.New(`the body must be "*" or empty`)
	}
	if method.Desc.IsStreamingClient() {
		return nil, errors.New("a REST operation cannot have a request stream")
	}
	if streams := option.GetEventStream() != nil; streams != method.Desc.IsStreamingServer() {
		return nil, errors.New("event_stream and a response stream require each other")
	}
	if err := op.parsePath(); err != nil {
		return nil, err
	}
	if !op.hasBody() {
		if err := op.checkQuery(); err != nil {
			return nil, err
		}
	}
	for _, c := range option.GetFixed() {
		if isAbsent := c.GetName() != "" && c.GetJson() == ""; !isAbsent {
			if err := checkConstant(c); err != nil {
				return nil, err
			}
		}
		if i := slices.IndexFunc(c.GetEquivalent(), func(value string) bool { return !json.Valid([]byte(value)) }); i >= 0 {
			return nil, fmt.Errorf("fixed %q: the equivalent value %q is not JSON", c.GetName(), c.GetEquivalent()[i])
		}
		if !op.hasBody() {
			return nil, fmt.Errorf("fixed %q requires a body", c.GetName())
		}
	}
	if option.GetEventStream() == nil {
		return op, nil
	}
	var err error
	op.stream, err = newStream(method, option.GetEventStream())
	return op, err
}

// parsePath collects the fields that are segments of the path.
func (op *operation) parsePath() error {
	if !strings.HasPrefix(op.path, "/") {
		return fmt.Errorf("the path %q must begin with a slash", op.path)
	}
	for segment := range strings.SplitSeq(op.path, "/") {
		name, opens := strings.CutPrefix(segment, "{")
		name, closes := strings.CutSuffix(name, "}")
		if opens != closes || strings.ContainsAny(name, "{}") {
			return fmt.Errorf("in the path %q, a field must be a whole segment: {field}", op.path)
		}
		if !opens {
			continue
		}
		field, err := fieldByName(op.Input, name)
		if err != nil {
			return err
		}
		if field.Desc.Kind() != protoreflect.StringKind || field.Desc.Cardinality() == protoreflect.Repeated || field.Desc.HasPresence() {
			return fmt.Errorf("%s is in the path and must be a singular string without presence", name)
		}
		if slices.Contains(op.inPath, field) {
			return fmt.Errorf("%s appears twice in the path", name)
		}
		op.inPath = append(op.inPath, field)
	}
	return nil
}

// checkQuery rejects fields that unsupported type as query parameters.
func (op *operation) checkQuery() error {
	for _, field := range op.Input.Fields {
		if slices.Contains(op.inPath, field) {
			continue
		}
		desc := field.Desc
		if memberOption(field).GetFormat() == restv1.Format_FORMAT_REMAINDER {
			if !isStringMap(desc) {
				return fmt.Errorf("%s: the remainder of a query must be a map<string, string>", desc.Name())
			}
			continue
		}
		var known bool
		switch desc.Kind() {
		case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.EnumKind:
			known = !desc.IsList() && desc.ContainingOneof() == nil || desc.HasOptionalKeyword()
		default:
			known = isStringMap(desc)
		}
		if !known {
			return fmt.Errorf("%s: its type is not supported as a query parameter", desc.Name())
		}
	}
	return nil
}

func isStringMap(desc protoreflect.FieldDescriptor) bool {
	return desc.IsMap() && desc.MapKey().Kind() == protoreflect.StringKind && desc.MapValue().Kind() == protoreflect.StringKind
}

func newStream(method *protogen.Method, option *restv1.EventStream) (*stream, error) {
	finish := option.GetFinish()
	s := &stream{done: option.GetDone()}
	var err error
	if s.list, err = fieldByName(method.Output, finish.GetList()); err != nil {
		return nil, err
	}
	if !s.list.Desc.IsList() || s.list.Message == nil {
		return nil, fmt.Errorf("finish: the list %s must be a list of messages", finish.GetList())
	}
	var errs [3]error
	s.key, errs[0] = fieldByName(s.list.Message, finish.GetKey())
	s.member, errs[1] = fieldByName(s.list.Message, finish.GetMember())
	s.count, errs[2] = fieldByName(method.Input, finish.GetCount())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	isInt32 := func(field *protogen.Field) bool {
		return field.Desc.Kind() == protoreflect.Int32Kind && !field.Desc.IsList()
	}
	if !isInt32(s.key) || s.key.Desc.HasPresence() {
		return nil, fmt.Errorf("finish: the key %s must be an int32", finish.GetKey())
	}
	if s.member.Enum == nil || s.member.Desc.IsList() || s.member.Desc.HasPresence() {
		return nil, fmt.Errorf("finish: the member %s must be an enum", finish.GetMember())
	}
	if !isInt32(s.count) {
		return nil, fmt.Errorf("finish: the count %s must be an int32", finish.GetCount())
	}
	if option.GetUnaryVariant() != nil {
		if s.unaryVariant, err = newUnaryVariant(method, s, option); err != nil {
			return nil, fmt.Errorf("unary_variant: %w", err)
		}
	}
	return s, nil
}

func newUnaryVariant(method *protogen.Method, s *stream, option *restv1.EventStream) (*unaryVariant, error) {
	w, names := new(unaryVariant), option.GetUnaryVariant()
	for _, other := range method.Parent.Methods {
		if string(other.Desc.Name()) == names.GetRpc() {
			w.method = other
		}
	}
	if w.method == nil || w.method.Desc.IsStreamingServer() || w.method.Input != method.Input {
		return nil, fmt.Errorf("the service must have a unary RPC %q with the same request", names.GetRpc())
	}
	list, err := fieldByName(w.method.Output, string(s.list.Desc.Name()))
	if err != nil {
		return nil, err
	}
	if !list.Desc.IsList() || list.Message == nil {
		return nil, fmt.Errorf("%s of %s must be a list of messages", list.Desc.Name(), w.method.Output.Desc.Name())
	}
	var errs [2]error
	w.full, errs[0] = fieldByName(list.Message, names.GetFull())
	w.delta, errs[1] = fieldByName(s.list.Message, names.GetDelta())
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	isMessage := func(field *protogen.Field) bool {
		return field.Message != nil && !field.Desc.IsList() && !field.Desc.IsMap()
	}
	if !isMessage(w.full) || !isMessage(w.delta) {
		return nil, fmt.Errorf("full (%s) and delta (%s) must be messages", names.GetFull(), names.GetDelta())
	}
	for _, name := range names.GetIndexed() {
		field, err := fieldByName(w.delta.Message, name)
		if err != nil {
			return nil, err
		}
		if !field.Desc.IsList() || field.Message == nil {
			return nil, fmt.Errorf("indexed: %s must be a list of messages", name)
		}
		if _, err := fieldByName(field.Message, "index"); err != nil {
			return nil, fmt.Errorf("indexed: %s: %w", name, err)
		}
		w.indexed = append(w.indexed, field)
	}
	return w, nil
}

// checkConstant rejects a constant without a name or whose value is not JSON.
func checkConstant(c *restv1.Constant) error {
	if c.GetName() == "" || !json.Valid([]byte(c.GetJson())) {
		return fmt.Errorf("the constant %q requires a name and a JSON value, not %q", c.GetName(), c.GetJson())
	}
	return nil
}
