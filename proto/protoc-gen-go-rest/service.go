package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

const protoPackage = protogen.GoImportPath("google.golang.org/protobuf/proto")

// service writes the table of a service's operations.
func (g generator) service(service *protogen.Service, operations map[*protogen.Method]*operation) {
	if !slices.ContainsFunc(service.Methods, func(m *protogen.Method) bool { return operations[m] != nil }) {
		return
	}
	name := service.GoName + "REST"
	g.P()
	g.P("// ", name, " returns the REST operations of ", service.GoName, ".")
	g.P("func ", name, "() []", g.restjson("Operation"), " {")
	g.P("return []", g.restjson("Operation"), "{")
	for _, method := range service.Methods {
		if op := operations[method]; op != nil {
			g.operation(op)
		}
	}
	g.P("}")
	g.P("}")
}

func (g generator) operation(op *operation) {
	message := g.QualifiedGoIdent(protoPackage.Ident("Message"))
	g.P("{")
	g.P("Procedure: ", strconv.Quote(procedure(op.Method)), ",")
	g.P("Method: ", strconv.Quote(op.verb), ",")
	g.P("Target: func(b []byte, request ", message, ") ([]byte, error) {")
	g.target(op)
	g.P("},")
	if op.hasBody() {
		g.P("HasBody: true,")
	}
	if fixed := op.option.GetFixed(); len(fixed) > 0 {
		g.P("Fixed: []", g.restjson("Constant"), "{")
		for _, c := range fixed {
			equivalent := ""
			if len(c.GetEquivalent()) > 0 {
				equivalent = fmt.Sprintf(", Equivalent: %#v", c.GetEquivalent())
			}
			g.P("{Name: ", strconv.Quote(c.GetName()), ", JSON: ", strconv.Quote(c.GetJson()), equivalent, "},")
		}
		g.P("},")
	}
	g.P("NewRequest: func() ", message, " { return new(", op.Input.GoIdent, ") },")
	g.P("NewResponse: func() ", g.restjson("Response"), " { return new(", op.Output.GoIdent, ") },")
	if op.stream != nil {
		g.stream(op, op.stream)
	}
	g.P("},")
}

// target writes the body of the function that appends the path and the query.
func (g generator) target(op *operation) {
	inQuery := !op.hasBody() && len(op.Input.Fields) > len(op.inPath)
	if len(op.inPath) == 0 && !inQuery {
		g.P("return append(b, ", strconv.Quote(op.path), "...), nil")
		return
	}
	g.P("x := request.(*", op.Input.GoIdent, ")")
	if len(op.inPath) > 0 {
		g.P("var err error")
	}
	rest := op.path
	for _, field := range op.inPath {
		before, after, _ := strings.Cut(rest, "{"+string(field.Desc.Name())+"}")
		g.P("b = append(b, ", strconv.Quote(before), "...)")
		g.P("if b, err = ", g.restjson("AppendPathSegment"), "(b, ", strconv.Quote(string(field.Desc.Name())), ", x.", field.GoName, "); err != nil {")
		g.P("return b, err")
		g.P("}")
		rest = after
	}
	if rest != "" {
		g.P("b = append(b, ", strconv.Quote(rest), "...)")
	}
	if !inQuery {
		g.P("return b, nil")
		return
	}
	g.query(op)
}

func (g generator) query(op *operation) {
	g.P("var q ", g.restjson("Query"))
	end := "return b, nil"
	for _, field := range op.Input.Fields {
		m := newMember(field)
		value := "x." + field.GoName
		switch {
		case slices.Contains(op.inPath, field):
		case m.option.GetFormat() == restv1.Format_FORMAT_REMAINDER:
			end = fmt.Sprintf("return q.AddExtra(b, %q, %s)", field.Desc.Name(), value)
		case field.Desc.IsMap():
			g.P("b = q.AddMap(b, ", strconv.Quote(m.name), ", ", value, ")")
		case field.Enum != nil:
			g.P("if x.", field.GoName, " != 0 {")
			g.P("text := ", g.toREST(field.Enum), "(", value, ")")
			g.P(`if text == "" {`)
			g.P("return b, ", g.restjson("UnknownEnum"), "(", strconv.Quote(string(field.Desc.Name())), ", ", value, ")")
			g.P("}")
			g.P("b = q.Add(b, ", strconv.Quote(m.name), ", text[1:len(text)-1])")
			g.P("}")
		default:
			g.P("if ", g.isSet(m, "x."), " {")
			if isPointer(field.Desc) {
				value = "*" + value
			}
			g.P("b = q.Add(b, ", strconv.Quote(m.name), ", ", g.text(field, value), ")")
			g.P("}")
		}
	}
	g.P(end)
}

// text returns the expression of a scalar as a query parameter.
func (g generator) text(field *protogen.Field, value string) string {
	strconvIdent := func(name string) string {
		return g.QualifiedGoIdent(protogen.GoImportPath("strconv").Ident(name))
	}
	switch field.Desc.Kind() {
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return fmt.Sprintf("%s(int64(%s), 10)", strconvIdent("FormatInt"), value)
	case protoreflect.BoolKind:
		return fmt.Sprintf("%s(%s)", strconvIdent("FormatBool"), value)
	default:
		return value
	}
}

func (g generator) stream(op *operation, s *stream) {
	message := g.QualifiedGoIdent(protoPackage.Ident("Message"))
	g.P("Stream: &", g.restjson("Stream"), "{")
	g.P("Done: ", strconv.Quote(s.done), ",")
	g.P("Track: func(p *", g.restjson("Progress"), ", message ", message, ") {")
	g.P("for _, item := range message.(*", op.Output.GoIdent, ").", s.list.GoName, " {")
	g.P("complete := item.", s.member.GoName, " != 0 || ", g.restjson("ExtraIsMeaningful"), "(item.ExtraJson, ", strconv.Quote(newMember(s.member).name), ")")
	g.P("p.Record(item.", s.key.GoName, ", complete)")
	g.P("}")
	g.P("},")
	g.P("Count: func(request ", message, ") int { return int(request.(*", op.Input.GoIdent, ").Get", s.count.GoName, "()) },")
	if s.unaryVariant != nil {
		g.unaryVariant(s)
	}
	g.P("},")
}

func (g generator) unaryVariant(s *stream) {
	var indexed []string
	for _, field := range s.unaryVariant.indexed {
		indexed = append(indexed, newMember(field).name)
	}
	g.P("UnaryVariant: &", g.restjson("UnaryVariant"), "{")
	g.P("Procedure: ", strconv.Quote(procedure(s.unaryVariant.method)), ",")
	g.P("List: ", strconv.Quote(newMember(s.list).name), ",")
	g.P("Key: ", strconv.Quote(newMember(s.key).name), ",")
	g.P("Full: ", strconv.Quote(newMember(s.unaryVariant.full).name), ",")
	g.P("Delta: ", strconv.Quote(newMember(s.unaryVariant.delta).name), ",")
	if len(indexed) > 0 {
		g.P("IndexedLists: ", fmt.Sprintf("%#v", indexed), ",")
	}
	constants := extension[*restv1.Object](s.unaryVariant.method.Output.Desc, restv1.E_Object).GetConstants()
	if len(constants) > 0 {
		g.P("Constants: []", g.restjson("Constant"), "{")
		for _, c := range constants {
			g.P("{Name: ", strconv.Quote(c.GetName()), ", JSON: ", strconv.Quote(c.GetJson()), "},")
		}
		g.P("},")
	}
	g.P("},")
}

// procedure returns the HTTP path of an RPC.
func procedure(method *protogen.Method) string {
	return fmt.Sprintf("/%s/%s", method.Parent.Desc.FullName(), method.Desc.Name())
}
