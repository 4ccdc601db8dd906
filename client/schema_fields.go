package client

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// schemaField is a struct field that encoding/json decodes.
type schemaField struct {
	reflect.StructField

	name       string // in JSON
	tagged     bool   // the name is from a tag
	path       []int  // indexes of the enclosing embedded fields and of the field
	optional   bool   // omitempty or omitzero
	quoted     bool   // option string: the value is in a JSON string
	unsettable bool   // in an embedded pointer that encoding/json cannot set
}

// fieldsOf returns the fields of a struct that encoding/json decodes, in order.
// Fields of an embedded struct without a JSON name belong to the outer struct. Of
// several fields with the same name, the shallowest is decoded, then the tagged
// one; if that is ambiguous, none is.
func fieldsOf(of reflect.Type, path string) ([]schemaField, error) {
	all, err := promotedFields(of, path)
	if err != nil {
		return nil, err
	}
	byName := make(map[string][]schemaField)
	for _, field := range all {
		byName[field.name] = append(byName[field.name], field)
	}
	var fields []schemaField
	for _, same := range byName {
		slices.SortStableFunc(same, compareDominance)
		if len(same) > 1 && compareDominance(same[0], same[1]) == 0 {
			continue
		}
		if same[0].unsettable {
			return nil, fmt.Errorf("client: %s.%s is in an embedded pointer to an unexported struct, which encoding/json cannot set: embed the struct itself", path, same[0].Name)
		}
		fields = append(fields, same[0])
	}
	slices.SortFunc(fields, func(a, b schemaField) int { return slices.Compare(a.path, b.path) })
	return fields, nil
}

// compareDominance returns a negative number if a hides b, a field with the same
// name.
func compareDominance(a, b schemaField) int {
	tagged := func(f schemaField) int {
		if f.tagged {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(len(a.path), len(b.path)), cmp.Compare(tagged(a), tagged(b)))
}

// promotedFields returns the fields of a struct and of its embedded structs.
func promotedFields(of reflect.Type, path string) ([]schemaField, error) {
	type embedded struct {
		of         reflect.Type
		path       []int
		unsettable bool
	}
	var fields []schemaField
	seen := make(map[reflect.Type]bool)
	level := []embedded{{of: of}}
	for len(level) > 0 {
		var next []embedded
		for _, outer := range level {
			if seen[outer.of] {
				continue // It also occurs at a shallower level, which hides this one.
			}
			for i := range outer.of.NumField() {
				field := outer.of.Field(i)
				fieldPath := append(slices.Clone(outer.path), i)
				inner, isEmbedded, unsettable := embeddedStruct(field)
				parsed, isDecoded := parseField(field)
				switch {
				case !isDecoded && !isEmbedded:
				case isEmbedded && field.Tag.Get("json") == "-":
				case isEmbedded && !parsed.tagged:
					if tag := anyTag(field.Tag, "enum", descriptionTag, otherDescriptionTag); tag != "" {
						return nil, fmt.Errorf("client: %s.%s has the tag %s, but its fields belong to the outer struct: name the field with a json tag, or remove the tag", path, field.Name, tag)
					}
					next = append(next, embedded{inner, fieldPath, outer.unsettable || unsettable})
				case isDecoded:
					parsed.path, parsed.unsettable = fieldPath, outer.unsettable || unsettable
					fields = append(fields, parsed)
				}
			}
		}
		for _, outer := range level {
			seen[outer.of] = true
		}
		level = next
	}
	return fields, nil
}

// embeddedStruct returns the struct that a field embeds, directly or as a pointer.
// encoding/json cannot set a pointer to an unexported type.
func embeddedStruct(field reflect.StructField) (of reflect.Type, isEmbedded, unsettable bool) {
	if !field.Anonymous {
		return nil, false, false
	}
	of = field.Type
	if of.Kind() == reflect.Pointer {
		of, unsettable = of.Elem(), !field.IsExported()
	}
	return of, of.Kind() == reflect.Struct, unsettable
}

// parseField parses the json tag of a field. It reports false if encoding/json
// ignores the field.
func parseField(field reflect.StructField) (schemaField, bool) {
	tag := field.Tag.Get("json")
	_, isEmbedded, _ := embeddedStruct(field)
	if tag == "-" || !field.IsExported() && !isEmbedded {
		return schemaField{}, false
	}
	name, options, _ := strings.Cut(tag, ",")
	result := schemaField{StructField: field, name: field.Name}
	if isJSONName(name) {
		result.name, result.tagged = name, true
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			result.optional = true
		case "string":
			result.quoted = isQuotable(field.Type)
		}
	}
	return result, true
}

// isJSONName reports whether encoding/json accepts a name in a tag.
func isJSONName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
	})
}

// isQuotable reports whether encoding/json applies the option string to a type:
// numbers, strings, Booleans and pointers to them.
func isQuotable(of reflect.Type) bool {
	if of.Name() == "" && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return scalar(of) != nil
}

// anyTag returns the first of the names that is a tag.
func anyTag(tag reflect.StructTag, names ...string) string {
	for _, name := range names {
		if _, ok := tag.Lookup(name); ok {
			return name
		}
	}
	return ""
}
