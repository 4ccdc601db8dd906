package main

import (
	"fmt"
	"slices"
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// decoder writes the DecodeREST method of a message.
func (g generator) decoder(m *message) {
	g.P()
	g.P("// DecodeREST reads the message from OpenAI's JSON.")
	g.P("func (x *", m.GoIdent, ") DecodeREST(d *", g.restjson("Decoder"), ") bool {")
	if m.array != nil {
		g.P("return ", g.read(m.array, "x."))
		g.P("}")
		return
	}
	g.P("var o ", g.restjson("ObjectReader"))
	g.P("if !d.Object(&o) {")
	if m.bare != nil {
		g.bareDecoder(m.bare)
	}
	g.P("return false")
	g.P("}")
	if m.union != nil {
		g.P("tag := d.Tag(&o, ", strconv.Quote(m.union.tag), ", ", tagFunc(m), ")")
		if m.union.inline {
			g.P("x.", initUnionFunc, "(tag)")
		}
	}
	g.P("for d.Next(&o) {")
	g.P("ok := false")
	g.P("switch string(d.Key(&o)) {")
	for _, c := range m.constants {
		g.P("case ", strconv.Quote(c.name), ":")
		g.P("ok = o.Take(", c.index, ") && d.Constant(", strconv.Quote(c.json), ")")
	}
	if m.union != nil {
		g.unionCases(m)
	}
	for _, member := range m.members {
		g.memberCase(member)
	}
	g.P("}")
	g.P("if !ok {")
	g.P("d.Spill(&o)")
	g.P("}")
	g.P("}")
	if m.union != nil {
		g.unionEnd(m.union)
	}
	g.P("x.", m.remainder.GoName, " = d.Extra(&o)")
	g.P("return true")
	g.P("}")
	if m.union != nil {
		g.unionFuncs(m)
	}
}

// bareDecoder writes the decoding of the bare branch.
func (g generator) bareDecoder(bare *member) {
	g.P("v := new(", bare.GoIdent, ")")
	g.P("if ", g.read(bare, "v."), " {")
	g.P("x.", bare.Oneof.GoName, " = v")
	g.P("return true")
	g.P("}")
}

func (g generator) memberCase(m *member) {
	if m.other != nil {
		g.formsCase(m)
		return
	}
	g.P("case ", strconv.Quote(m.name), ":")
	if inOneof(m.Field) {
		g.branchCase(m, fmt.Sprintf("x.%s == nil", m.Oneof.GoName))
		return
	}
	g.P("ok = ", g.take(m, "x."), " && ", g.read(m, "x."))
}

// take returns the expression that claims a member for a field.
func (g generator) take(m *member, structure string) string {
	if m.Desc.HasPresence() || m.Desc.IsList() || m.Desc.IsMap() || m.Enum != nil {
		return fmt.Sprintf("o.Take(%d)", m.index)
	}
	return fmt.Sprintf("d.TakeZero(&o, %d, %s)", m.index, isZero(m, structure))
}

// formsCase writes the decoding of a member with two forms. The case of the list
// reads both.
func (g generator) formsCase(m *member) {
	if !m.Desc.IsList() {
		return
	}
	isAlias := ""
	if m.alias >= 0 {
		isAlias = fmt.Sprintf("d.HasString(&o, %d, %q, x.%s != nil)", m.whenSet.index, m.whenSet.name, m.whenSet.GoName)
		g.P("case ", strconv.Quote(m.option.GetAlias().GetName()), ":")
		g.P("ok = o.Take(", m.alias, ") && (d.Null() || ", isAlias, " && ", g.read(m, "x."), ")")
		isAlias = "!" + isAlias + " && "
	}
	g.P("case ", strconv.Quote(m.name), ":")
	g.P("if d.AtList() {")
	g.P("ok = o.Take(", m.index, ") && ", isAlias, g.read(m, "x."))
	g.P("} else {")
	g.P("ok = o.Take(", m.index, ") && ", g.read(m.other, "x."))
	g.P("}")
}

// branchCase writes the decoding of a field of a oneof if the expression free holds.
func (g generator) branchCase(m *member, free string) {
	g.P("if d.Null() {")
	g.P("continue")
	g.P("}")
	g.P("if (", free, ") && o.Take(", m.index, ") {")
	g.P("v := new(", m.GoIdent, ")")
	g.P("if ok = ", g.read(m, "v."), "; ok {")
	g.P("x.", m.Oneof.GoName, " = v")
	g.P("}")
	g.P("}")
}

func (g generator) unionCases(m *message) {
	u := m.union
	g.P("case ", strconv.Quote(u.tag), ":")
	g.P("if tag >= 0 && o.Take(", u.index, ") {")
	g.P("d.KeepTag(&o)")
	g.P("continue")
	g.P("}")
	if u.inline {
		g.inlineCases(m)
		return
	}
	for _, b := range u.branches {
		if b.tagOnly {
			continue
		}
		g.P("case ", strconv.Quote(b.name), ":")
		g.branchCase(b.member, fmt.Sprintf("tag == %d || tag == 0 && x.%s == nil", b.number, u.GoName))
	}
}

// inlineCases writes the decoding of inline payloads. Without a tag, the first
// known member selects the branch.
func (g generator) inlineCases(m *message) {
	done := make(map[string]bool)
	for _, b := range m.union.branches {
		for _, p := range b.payload {
			if done[p.name] {
				continue
			}
			done[p.name] = true
			g.P("case ", strconv.Quote(p.name), ":")
			g.P("if d.Null() {")
			g.P("continue")
			g.P("}")
			g.P("if tag == 0 {")
			g.P("tag = ", b.number)
			g.P("x.", initUnionFunc, "(tag)")
			g.P("}")
			g.P("switch v := x.", m.union.GoName, ".(type) {")
			for _, other := range m.union.branches {
				for _, q := range other.payload {
					if q.name == p.name {
						g.P("case *", other.GoIdent, ":")
						structure := "v." + other.GoName + "."
						g.P("ok = ", g.take(q, structure), " && ", g.read(q, structure))
					}
				}
			}
			g.P("}")
		}
	}
}

// unionEnd writes the end of a union's decoding: it sets a branch without a
// payload, and keeps the tag if its payload is missing.
func (g generator) unionEnd(u *union) {
	for _, b := range u.branches {
		if b.tagOnly {
			g.P("if tag == ", b.number, " {")
			g.P("x.", u.GoName, " = &", b.GoIdent, "{", b.GoName, ": new(", b.Message.GoIdent, ")}")
			g.P("}")
		}
	}
	g.P("if x.", u.GoName, " == nil {")
	g.P("d.SpillTag(&o)")
	g.P("}")
}

const initUnionFunc = "initUnionREST"

func tagFunc(m *message) string { return "tagOf" + m.GoIdent.GoName }

// unionFuncs writes the functions that a union's decoder calls.
func (g generator) unionFuncs(m *message) {
	g.P()
	g.P("func ", tagFunc(m), "(tag []byte) int {")
	g.P("switch string(tag) {")
	for _, b := range m.union.branches {
		g.P("case ", strconv.Quote(b.name), ":")
		g.P("return ", b.number)
	}
	g.P("default:")
	g.P("return -1")
	g.P("}")
	g.P("}")
	if !m.union.inline {
		return
	}
	g.P()
	g.P("func (x *", m.GoIdent, ") ", initUnionFunc, "(tag int) {")
	g.P("switch tag {")
	for _, b := range m.union.branches {
		g.P("case ", b.number, ":")
		g.P("x.", m.union.GoName, " = &", b.GoIdent, "{", b.GoName, ": new(", b.Message.GoIdent, ")}")
	}
	g.P("}")
	g.P("}")
}

// read returns the expression that reads a field.
func (g generator) read(m *member, structure string) string {
	dst := "&" + structure + m.GoName
	desc := m.Desc
	switch {
	case desc.IsMap():
		return fmt.Sprintf("%s(d, %s, %s)", g.restjson("Map"), dst, g.reader(m.Message.Fields[1], m.option))
	case desc.IsList() && m.Message != nil && !isTime(m.Message) && !m.option.GetSingle():
		return fmt.Sprintf("%s(d, %s)", g.restjson("Messages"), dst)
	case desc.IsList():
		list := "List"
		if m.option.GetSingle() {
			list = "ListOrSingle"
		}
		return fmt.Sprintf("%s(d, %s, %s)", g.restjson(list), dst, g.reader(m.Field, m.option))
	case desc.Kind() == protoreflect.EnumKind:
		return fmt.Sprintf("%s(d, %s, %s)", g.restjson("Enum"), dst, g.fromREST(m.Enum))
	case isTime(m.Message):
		return fmt.Sprintf("d.Time(%s)", dst)
	case desc.Kind() == protoreflect.MessageKind:
		return fmt.Sprintf("%s(d, %s)", g.restjson("Message"), dst)
	case isPointer(desc) && slices.Contains(pooledOptionals, scalar(desc, m.option)):
		return fmt.Sprintf("d.Optional%s(%s)", scalar(desc, m.option), dst)
	case isPointer(desc):
		return fmt.Sprintf("%s(d, %s, %s)", g.restjson("Optional"), dst, g.reader(m.Field, m.option))
	default:
		return fmt.Sprintf("d.%s(%s)", scalar(desc, m.option), dst)
	}
}

// reader returns the function that reads one value of a field's type.
func (g generator) reader(field *protogen.Field, option *restv1.Member) string {
	switch {
	case field.Desc.Kind() == protoreflect.EnumKind:
		return fmt.Sprintf("func(d *%s, v *%s) bool { return %s(d, v, %s) }",
			g.restjson("Decoder"), g.QualifiedGoIdent(field.Enum.GoIdent), g.restjson("Enum"), g.fromREST(field.Enum))
	case isTime(field.Message):
		return fmt.Sprintf("(*%s).Time", g.restjson("Decoder"))
	case field.Desc.Kind() == protoreflect.MessageKind:
		return g.restjson("Message")
	default:
		return fmt.Sprintf("(*%s).%s", g.restjson("Decoder"), scalar(field.Desc, option))
	}
}

// pooledOptionals are the types of optional scalars for which the decoder has a
// method, because messages have many of them.
var pooledOptionals = []string{"String", "Int32"}

// scalar returns the name of the methods that read and write a scalar.
func scalar(desc protoreflect.FieldDescriptor, option *restv1.Member) string {
	switch desc.Kind() {
	case protoreflect.BoolKind:
		return "Bool"
	case protoreflect.Int32Kind:
		return "Int32"
	case protoreflect.Int64Kind:
		return "Int64"
	case protoreflect.DoubleKind:
		return "Double"
	case protoreflect.BytesKind:
		if option.GetFormat() == restv1.Format_FORMAT_BYTE_ARRAY {
			return "ByteArray"
		}
		return "Bytes"
	default:
		if option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT {
			return "JSONObject"
		}
		return "String"
	}
}

// isPointer reports whether the field's Go type is a pointer to a scalar.
func isPointer(desc protoreflect.FieldDescriptor) bool {
	return desc.HasOptionalKeyword() && desc.Kind() != protoreflect.BytesKind
}
