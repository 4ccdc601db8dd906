package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Schema is a schema of a document.
type Schema struct {
	// Pointer is its position in the document, a JSON pointer.
	Pointer string
	// Ref is the schema that it refers to. Only Nullable and Deprecated are valid next
	// to it.
	Ref *Schema
	// Type is the type of its instances, or "" if other keywords define it.
	Type string
	// Nullable reports whether null is an instance too. The specification still uses
	// this keyword of OpenAPI 3.0.
	Nullable bool
	// Deprecated reports whether it is deprecated.
	Deprecated bool
	// Format is the meaning of the value, such as `unixtime`.
	Format string
	// Enum lists the strings that are instances, or nil for all.
	Enum []string
	// Properties are the described members of an object, by name.
	Properties []Property
	// Additional is the schema of further members of an object, or nil.
	Additional *Schema
	// Free reports whether further members are explicitly unrestricted.
	Free bool
	// AllOf, AnyOf, and OneOf are its parts.
	AllOf, AnyOf, OneOf []*Schema
	// Items is the schema of array items.
	Items *Schema

	minimum, maximum              *big.Rat // nil: none
	minItems, maxItems, maxLength int      // maxItems and maxLength: -1 for none
}

// Property is a member of an object.
type Property struct {
	// Name is the name of the member.
	Name string
	// Required reports whether every object has it.
	Required bool
	// Schema is the schema of its values.
	Schema *Schema
}

// Component returns the name of the component that contains the schema, or "" for a
// schema in an operation.
func (s *Schema) Component() string {
	rest, found := strings.CutPrefix(s.Pointer, "#/components/schemas/")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// Branches returns the alternatives of a union.
func (s *Schema) Branches() []*Schema { return append(slices.Clone(s.AnyOf), s.OneOf...) }

// Value returns the pointer to the enum value number i.
func (s *Schema) Value(i int) string { return s.Pointer + "/enum/" + strconv.Itoa(i) }

// schema reads the schema at a pointer once.
func (d *Document) schema(pointer string) (*Schema, error) {
	if s, known := d.schemas[pointer]; known {
		return s, nil
	}
	raw, err := d.at(pointer)
	if err != nil {
		return nil, err
	}
	s := &Schema{Pointer: pointer, maxItems: -1, maxLength: -1}
	d.schemas[pointer] = s // Before its parts, which may refer to it.
	r := reader{document: d, schema: s, raw: object(raw)}
	for _, keyword := range slices.Sorted(maps.Keys(r.raw)) {
		if err := r.read(keyword, r.raw[keyword]); err != nil {
			return nil, err
		}
	}
	return s, r.check()
}

// reader reads the keywords of a schema.
type reader struct {
	document *Document
	schema   *Schema
	raw      map[string]any
}

func (r *reader) read(keyword string, value any) (err error) {
	s := r.schema
	switch keyword {
	case "$ref":
		s.Ref, err = r.document.schema(fmt.Sprint(value))
	case "type":
		s.Type = fmt.Sprint(value)
	case "nullable":
		s.Nullable = value == true
	case "deprecated":
		s.Deprecated = value == true
	case "format":
		s.Format = fmt.Sprint(value)
	case "enum":
		for _, v := range list(value) {
			text, ok := v.(string)
			if !ok {
				return fmt.Errorf("%s: enum: %v is not a string", s.Pointer, v)
			}
			s.Enum = append(s.Enum, text)
		}
	case "properties":
		for _, name := range slices.Sorted(maps.Keys(object(value))) {
			p := Property{Name: name, Required: slices.Contains(list(r.raw["required"]), any(name))}
			if p.Schema, err = r.part(keyword + "/" + escape(name)); err != nil {
				return err
			}
			s.Properties = append(s.Properties, p)
		}
	case "required":
		for _, name := range list(value) {
			if _, has := object(r.raw["properties"])[fmt.Sprint(name)]; !has {
				return fmt.Errorf("%s: required: unknown property %v", s.Pointer, name)
			}
		}
	case "additionalProperties":
		if free, is := value.(bool); is {
			s.Free = free
			return nil
		}
		s.Additional, err = r.part(keyword)
	case "items":
		s.Items, err = r.part(keyword)
	case "allOf":
		s.AllOf, err = r.parts(keyword, value)
	case "anyOf":
		s.AnyOf, err = r.parts(keyword, value)
	case "oneOf":
		s.OneOf, err = r.parts(keyword, value)
	case "minimum":
		s.minimum, err = r.number(keyword, value)
	case "maximum":
		s.maximum, err = r.number(keyword, value)
	case "minItems":
		s.minItems, err = r.count(keyword, value)
	case "maxItems":
		s.maxItems, err = r.count(keyword, value)
	case "maxLength":
		s.maxLength, err = r.count(keyword, value)
	case "default", "discriminator", "x-stainless-const":
		// These keywords do not affect validity.
	default:
		return fmt.Errorf("%s: unknown keyword %s", s.Pointer, keyword)
	}
	return err
}

// check rejects schemas that are not supported.
func (r *reader) check() error {
	s := r.schema
	switch s.Type {
	case "object", "string", "boolean", "integer", "number", "array", "null":
	case "":
		if s.Ref == nil && s.AllOf == nil && s.AnyOf == nil && s.OneOf == nil {
			return fmt.Errorf("%s: anything is an instance", s.Pointer)
		}
	default:
		return fmt.Errorf("%s: unknown type %s", s.Pointer, s.Type)
	}
	if s.Enum != nil && s.Type != "string" || (s.Type == "array") != (s.Items != nil) {
		return fmt.Errorf("%s: the type %s does not fit the other keywords", s.Pointer, s.Type)
	}
	return nil
}

func (r *reader) part(name string) (*Schema, error) {
	return r.document.schema(r.schema.Pointer + "/" + name)
}

func (r *reader) parts(keyword string, value any) (parts []*Schema, err error) {
	for i := range list(value) {
		part, err := r.part(keyword + "/" + strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (r *reader) number(keyword string, value any) (*big.Rat, error) {
	text, _ := value.(json.Number)
	n, ok := new(big.Rat).SetString(text.String())
	if !ok {
		return nil, fmt.Errorf("%s: %s: %v is not a number", r.schema.Pointer, keyword, value)
	}
	return n, nil
}

func (r *reader) count(keyword string, value any) (int, error) {
	n, err := r.number(keyword, value)
	if err != nil {
		return 0, err
	}
	return int(n.Num().Int64()), nil
}
