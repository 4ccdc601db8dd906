package main

import (
	"strconv"

	"google.golang.org/protobuf/compiler/protogen"
)

func (g generator) fromREST(enum *protogen.Enum) string {
	return g.QualifiedGoIdent(enum.GoIdent.GoImportPath.Ident(enum.GoIdent.GoName + "FromREST"))
}

func (g generator) toREST(enum *protogen.Enum) string {
	return g.QualifiedGoIdent(enum.GoIdent.GoImportPath.Ident(enum.GoIdent.GoName + "ToREST"))
}

// enum writes the functions that convert an enum to and from JSON strings.
func (g generator) enum(enum *protogen.Enum) {
	g.P()
	g.P("// ", enum.GoIdent.GoName, "FromREST returns the value with this JSON string, or 0 if there is")
	g.P("// none.")
	g.P("func ", g.fromREST(enum), "(text []byte) ", enum.GoIdent, " {")
	g.P("switch string(text) {")
	for _, value := range enum.Values {
		if value.Desc.Number() != 0 {
			g.P("case ", strconv.Quote(jsonName(value)), ":")
			g.P("return ", value.GoIdent)
		}
	}
	g.P("default:")
	g.P("return 0")
	g.P("}")
	g.P("}")
	g.P()
	g.P("// ", enum.GoIdent.GoName, "ToREST returns the quoted JSON string of the value, or an empty")
	g.P("// string if the enum does not define it.")
	g.P("func ", g.toREST(enum), "(value ", enum.GoIdent, ") string {")
	g.P("switch value {")
	for _, value := range enum.Values {
		if value.Desc.Number() != 0 {
			g.P("case ", value.GoIdent, ":")
			g.P("return ", strconv.Quote(jsonString(jsonName(value))))
		}
	}
	g.P("default:")
	g.P(`return ""`)
	g.P("}")
	g.P("}")
}
