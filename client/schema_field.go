package client

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// schemaField is a field of a struct that encoding/json knows.
type schemaField struct {
	reflect.StructField

	name    string // In JSON.
	tagged  bool   // By a tag.
	path    []int  // The indexes of the embedded fields around it, and its own.
	omitted bool   // By omitempty or omitzero.
	quoted  bool   // By the option string: a string has the value.
	sealed  bool   // Within an embedded pointer that encoding/json can't set.
}

// fieldsOf are the fields of a struct that encoding/json decodes, in their order.
// Those of an embedded struct without a name of its own are the outer's. Of
// several with the same name the least deep is decoded, then the one with a tag;
// if there are two, none.
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
		if same[0].sealed {
			return nil, fmt.Errorf("client: %s.%s is within an embedded pointer to an unexported struct, which encoding/json can't set: embed the struct", path, same[0].Name)
		}
		fields = append(fields, same[0])
	}
	slices.SortFunc(fields, func(a, b schemaField) int { return slices.Compare(a.path, b.path) })
	return fields, nil
}

// compareDominance is negative if a field hides another one of its name.
func compareDominance(a, b schemaField) int {
	tagged := func(f schemaField) int {
		if f.tagged {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(len(a.path), len(b.path)), cmp.Compare(tagged(a), tagged(b)))
}

// promotedFields are the fields of a struct and of those that are embedded in it.
func promotedFields(of reflect.Type, path string) ([]schemaField, error) {
	type embedded struct {
		of     reflect.Type
		path   []int
		sealed bool
	}
	var fields []schemaField
	seen := make(map[reflect.Type]bool)
	level := []embedded{{of: of}}
	for len(level) > 0 {
		var next []embedded
		for _, outer := range level {
			if seen[outer.of] {
				continue // It is less deep already, and hides this one.
			}
			for i := range outer.of.NumField() {
				field := outer.of.Field(i)
				place := append(slices.Clone(outer.path), i)
				inner, isEmbedded, isSealed := embeddedStruct(field)
				known, isKnown := readField(field)
				switch {
				case !isKnown && !isEmbedded:
				case isEmbedded && field.Tag.Get("json") == "-":
				case isEmbedded && !known.tagged:
					if tag := anyTag(field.Tag, "enum", descriptionTag, otherDescriptionTag); tag != "" {
						return nil, fmt.Errorf("client: %s.%s has the tag %s, but its fields are those of the outer struct: give it a name by a json tag, or leave the tag out", path, field.Name, tag)
					}
					next = append(next, embedded{inner, place, outer.sealed || isSealed})
				case isKnown:
					known.path, known.sealed = place, outer.sealed || isSealed
					fields = append(fields, known)
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

// embeddedStruct is the struct that a field embeds, by itself or by a pointer.
// The latter is sealed if its type is not exported.
func embeddedStruct(field reflect.StructField) (of reflect.Type, isEmbedded, isSealed bool) {
	if !field.Anonymous {
		return nil, false, false
	}
	of = field.Type
	if of.Kind() == reflect.Pointer {
		of, isSealed = of.Elem(), !field.IsExported()
	}
	return of, of.Kind() == reflect.Struct, isSealed
}

// readField reads the json tag of a field. It is false for a field that is left
// out.
func readField(field reflect.StructField) (schemaField, bool) {
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
			result.omitted = true
		case "string":
			result.quoted = isQuotable(field.Type)
		}
	}
	return result, true
}

// isJSONName reports whether encoding/json takes a name from a tag.
func isJSONName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
	})
}

// isQuotable reports whether encoding/json heeds the option string. It does for
// numbers, strings and truth values, and pointers to them.
func isQuotable(of reflect.Type) bool {
	if of.Name() == "" && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return scalar(of) != nil
}

// anyTag is the first of the tags that there is.
func anyTag(tag reflect.StructTag, names ...string) string {
	for _, name := range names {
		if _, ok := tag.Lookup(name); ok {
			return name
		}
	}
	return ""
}
