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

// encoder writes the EncodeREST method of a message.
func (g generator) encoder(m *message) {
	g.P()
	g.P("// EncodeREST writes the message as OpenAI's JSON.")
	g.P("func (x *", m.GoIdent, ") EncodeREST(e *", g.restjson("Encoder"), ") error {")
	g.P("if x == nil {")
	g.P("x = new(", m.GoIdent, ")")
	g.P("}")
	if m.array != nil {
		g.writeChecked(m.array, "x."+m.array.GoName)
		g.P("return nil")
		g.P("}")
		return
	}
	memberNumber := "memberOf" + m.GoIdent.GoName
	if m.bare != nil {
		g.bareEncoder(m)
	}
	g.P("var o ", g.restjson("ObjectWriter"))
	g.P("if err := e.Open(&o, x.", m.remainder.GoName, ", ", memberNumber, "); err != nil {")
	g.P("return err")
	g.P("}")
	for _, c := range m.constants {
		g.P("if e.Member(&o, ", c.index, ", ", memberName(c.name), ", false) {")
		g.P("e.Raw(", strconv.Quote(c.json), ")")
		g.P("}")
	}
	if m.union != nil {
		g.unionEncoder(m)
	}
	for _, member := range m.members {
		g.memberEncoder(m, member)
	}
	if m.union == nil && m.bare != nil {
		g.P("if x.", m.bare.Oneof.GoName, " == nil {")
		g.P("e.RequiredOneof(&o, ", oneofNames(m.bare.Oneof), ")")
		g.P("}")
	}
	g.P("return e.Close(&o)")
	g.P("}")

	g.P()
	g.P("func ", memberNumber, "(name string) int {")
	g.P("switch name {")
	for i, name := range m.names {
		g.P("case ", strconv.Quote(name), ":")
		g.P("return ", i)
	}
	g.P("default:")
	g.P("return -1")
	g.P("}")
	g.P("}")
}

// bareEncoder writes the encoding of the bare branch.
func (g generator) bareEncoder(m *message) {
	field := strconv.Quote(string(m.bare.Desc.Name()))
	g.P("if v, ok := x.", m.bare.Oneof.GoName, ".(*", m.bare.GoIdent, "); ok {")
	g.P("if x.", m.remainder.GoName, ` != "" {`)
	g.P("return ", g.restjson("ExtraWithBareValue"), "(", field, ")")
	g.P("}")
	g.writeChecked(m.bare, "v."+m.bare.GoName)
	g.P("return nil")
	g.P("}")
}

// memberName returns the Go literal of a member's quoted name with its colon.
func memberName(name string) string {
	quoted := jsonString(name) + ":"
	if strings.Contains(quoted, "`") {
		return strconv.Quote(quoted)
	}
	return "`" + quoted + "`"
}

// oneofNames returns the names of a oneof's fields as Go arguments.
func oneofNames(oneof *protogen.Oneof) string {
	var names []string
	for _, field := range oneof.Fields {
		names = append(names, strconv.Quote(string(field.Desc.Name())))
	}
	return strings.Join(names, ", ")
}

func (g generator) unionEncoder(m *message) {
	u := m.union
	variable := "v := "
	if !slices.ContainsFunc(u.branches, func(b *branch) bool { return !b.tagOnly }) {
		variable = ""
	}
	g.P("switch ", variable, "x.", u.GoName, ".(type) {")
	for _, b := range u.branches {
		g.P("case *", b.GoIdent, ":")
		g.P("if e.Member(&o, ", u.index, ", ", memberName(u.tag), ", true) {")
		g.P("e.Raw(", strconv.Quote(jsonString(b.name)), ")")
		g.P("}")
		switch {
		case b.tagOnly:
		case u.inline:
			g.P("payload := v.", b.GoName)
			g.P("if payload == nil {")
			g.P("payload = new(", b.Message.GoIdent, ")")
			g.P("}")
			for _, p := range b.payload {
				g.fieldEncoder(m, p, "payload.")
			}
		default:
			g.P("if e.Member(&o, ", b.index, ", ", memberName(b.name), ", true) {")
			g.writeChecked(b.member, "v."+b.GoName)
			g.P("}")
		}
	}
	g.P("case nil:")
	g.P("e.RequiredOneof(&o, ", oneofNames(u.Oneof), ")")
	g.P("}")
}

func (g generator) memberEncoder(m *message, member *member) {
	if member.option.GetOutputOnly() {
		g.P("if e.Full() {")
		defer g.P("}")
	}
	if inOneof(member.Field) {
		g.P("if v, ok := x.", member.Oneof.GoName, ".(*", member.GoIdent, "); ok && e.Member(&o, ", member.index, ", ",
			memberName(member.name), ", true) {")
		g.writeChecked(member, "v."+member.GoName)
		g.P("}")
		return
	}
	if member.other == nil {
		g.fieldEncoder(m, member, "x.")
		return
	}
	if !member.Desc.IsList() {
		return // the list's encoder writes both forms
	}
	g.formsEncoder(m, member.other, member)
}

// formsEncoder writes the encoding of a member with two forms. A response may
// have both if the list has an alias.
func (g generator) formsEncoder(m *message, single, list *member) {
	isSet := g.isSet(single, "x.")
	both := fmt.Sprintf("%s && len(x.%s) > 0", isSet, list.GoName)
	g.P("switch {")
	if list.alias >= 0 {
		g.P("case e.Full() && ", g.isSet(list.whenSet, "x."), ":")
		g.fieldEncoder(m, single, "x.")
		g.P("if len(x.", list.GoName, ") > 0 && e.Member(&o, ", list.alias, ", ", memberName(list.option.GetAlias().GetName()), ", true) {")
		g.writeChecked(list, "x."+list.GoName)
		g.P("}")
	}
	g.P("case ", both, ":")
	g.P("e.BothSet(&o, ", strconv.Quote(string(single.Desc.Name())), ", ", strconv.Quote(string(list.Desc.Name())), ")")
	g.P("case len(x.", list.GoName, ") > 0:")
	g.P("if e.Member(&o, ", list.index, ", ", memberName(list.name), ", true) {")
	g.writeChecked(list, "x."+list.GoName)
	g.P("}")
	g.P("default:")
	g.fieldEncoder(m, single, "x.")
	g.P("}")
}

// fieldEncoder writes the encoding of one field according to its presence.
func (g generator) fieldEncoder(m *message, f *member, structure string) {
	value := structure + f.GoName
	name := memberName(f.name)
	field := strconv.Quote(string(f.Desc.Name()))
	presence := f.option.GetPresence()
	isSet := g.isSet(f, structure)
	hasZero := !f.Desc.HasOptionalKeyword() && (f.Desc.IsList() || f.Desc.IsMap() || f.Enum == nil && f.Message == nil)
	if presence == restv1.Presence_PRESENCE_REQUIRED && hasZero {
		g.P("if e.Member(&o, ", f.index, ", ", name, ", ", isSet, ") {")
		g.writeChecked(f, value)
		g.P("}")
		return
	}
	when, then := isSet, "true" // when the member is written, and whether the field is set then
	if presence == restv1.Presence_PRESENCE_MANDATORY && hasZero {
		when, then = isSet+" || e.Full()", isSet
	}
	g.P("if ", when, " {")
	g.P("if e.Member(&o, ", f.index, ", ", name, ", ", then, ") {")
	g.writeChecked(f, value)
	g.P("}")
	switch presence {
	case restv1.Presence_PRESENCE_UNSPECIFIED:
	case restv1.Presence_PRESENCE_REQUIRED, restv1.Presence_PRESENCE_MANDATORY:
		g.P("} else {")
		g.P("e.Required(&o, ", f.index, ", ", name, ", ", field, ")")
	case restv1.Presence_PRESENCE_NULLABLE:
		g.P("} else {")
		g.P("e.Null(&o, ", f.index, ", ", name, ")")
	case restv1.Presence_PRESENCE_NULLABLE_IN_RESPONSE:
		g.P("} else if e.Full()", g.condition(m, f.option.GetNullWhen()), " {")
		g.P("e.Null(&o, ", f.index, ", ", name, ")")
	}
	g.P("}")
}

// condition returns the expression for when a request writes null.
func (g generator) condition(m *message, when *restv1.Condition) string {
	if when == nil {
		return ""
	}
	i := slices.IndexFunc(m.Fields, func(f *protogen.Field) bool { return string(f.Desc.Name()) == when.GetField() })
	field := m.Fields[i]
	return fmt.Sprintf(" || x.%s == %s", field.GoName, g.QualifiedGoIdent(enumValue(field.Enum, when.GetValue()).GoIdent))
}

// checked writes a value, prefixing its error with the field's name.
func (g generator) writeChecked(m *member, value string) {
	g.P("if err := ", g.write(m, value), "; err != nil {")
	g.P("return ", g.restjson("Field"), "(", strconv.Quote(string(m.Desc.Name())), ", err)")
	g.P("}")
}

// isSet returns the expression for whether a field is set.
func (g generator) isSet(m *member, structure string) string {
	value := structure + m.GoName
	desc := m.Desc
	switch {
	case desc.IsList(), desc.IsMap():
		return "len(" + value + ") > 0"
	case desc.HasOptionalKeyword(), desc.Kind() == protoreflect.MessageKind:
		return value + " != nil"
	case desc.Kind() == protoreflect.BytesKind:
		return "len(" + value + ") > 0"
	case desc.Kind() == protoreflect.BoolKind:
		return value
	case desc.Kind() == protoreflect.StringKind:
		return value + ` != ""`
	default:
		return value + " != 0"
	}
}

// isZero returns the expression for whether a scalar without presence is zero.
func isZero(m *member, structure string) string {
	value := structure + m.GoName
	switch m.Desc.Kind() {
	case protoreflect.BytesKind:
		return "len(" + value + ") == 0"
	case protoreflect.BoolKind:
		return "!" + value
	case protoreflect.StringKind:
		return value + ` == ""`
	default:
		return value + " == 0"
	}
}

// write returns the expression that writes a field's value.
func (g generator) write(m *member, value string) string {
	switch {
	case m.Desc.IsMap():
		return fmt.Sprintf("%s(e, %s, %s)", g.restjson("WriteMap"), value, g.writer(m.Message.Fields[1], m.option))
	case m.Desc.IsList():
		return fmt.Sprintf("%s(e, %s, %s)", g.restjson("WriteList"), value, g.writer(m.Field, m.option))
	case m.Enum != nil:
		return fmt.Sprintf("%s(e, %s, %s)", g.restjson("WriteEnum"), value, g.toREST(m.Enum))
	case isTime(m.Message):
		return fmt.Sprintf("e.Time(%s)", value)
	case m.Message != nil:
		return value + ".EncodeREST(e)"
	case isPointer(m.Desc):
		value = "*" + value
	}
	return fmt.Sprintf("e.%s(%s)", scalar(m.Desc, m.option), value)
}

// writer returns the function that writes one value of a field's type.
func (g generator) writer(field *protogen.Field, option *restv1.Member) string {
	switch {
	case field.Enum != nil:
		return fmt.Sprintf("func(v %s) error { return %s(e, v, %s) }",
			g.QualifiedGoIdent(field.Enum.GoIdent), g.restjson("WriteEnum"), g.toREST(field.Enum))
	case isTime(field.Message):
		return "e.Time"
	case field.Message != nil:
		return fmt.Sprintf("func(v *%s) error { return v.EncodeREST(e) }", g.QualifiedGoIdent(field.Message.GoIdent))
	default:
		return "e." + scalar(field.Desc, option)
	}
}
