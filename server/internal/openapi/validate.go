package openapi

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Validator checks instances of a schema.
type Validator struct{ schema *jsonschema.Schema }

// Validator returns a strict validator for instances of a schema. It also rejects
// members that the schema doesn't describe.
func (d *Document) Validator(s *Schema) (*Validator, error) {
	t := translator{document: d, definitions: make(map[string]any)}
	resource := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$ref":    t.definition(s.Pointer, closed),
		"$defs":   t.definitions,
	}
	if t.err != nil {
		return nil, t.err
	}
	compiler := jsonschema.NewCompiler()
	const url = "spec:strict"
	if err := compiler.AddResource(url, resource); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(url)
	return &Validator{schema}, err
}

// Check returns an error if text is not an instance.
func (v *Validator) Check(text []byte) error {
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return v.schema.Validate(instance)
}

// translator translates OpenAPI's schemas to JSON Schema, which ignores `nullable` and
// allows objects to have further members.
type translator struct {
	document    *Document
	definitions map[string]any
	err         error
}

// mode selects whether an object may have members that its schema doesn't describe.
type mode string

const (
	closed mode = "closed"
	// A part of an allOf is open, because the other parts describe the rest. The whole
	// is closed.
	open mode = "open"
)

// definition returns the URI of the translated schema at a pointer.
func (t *translator) definition(pointer string, m mode) string {
	name := string(m) + " " + strings.TrimPrefix(pointer, "#/")
	name = strings.NewReplacer("/", ".", "~1", ".", "{", "", "}", "", " ", ":").Replace(name)
	if _, known := t.definitions[name]; !known {
		t.definitions[name] = true // Before its parts, which may refer to it.
		raw, err := t.document.at(pointer)
		if err != nil {
			t.err = err
		}
		t.definitions[name] = t.translate(object(raw), m)
	}
	return "#/$defs/" + name
}

func (t *translator) translate(raw map[string]any, m mode) map[string]any {
	schema := make(map[string]any)
	for keyword, value := range raw {
		switch keyword {
		case "$ref":
			schema[keyword] = t.definition(fmt.Sprint(value), m)
		case "properties":
			properties := make(map[string]any)
			for name, p := range object(value) {
				properties[name] = t.translate(object(p), closed)
			}
			schema[keyword] = properties
		case "items":
			schema[keyword] = t.translate(object(value), closed)
		case "additionalProperties":
			schema[keyword] = value
			if further := object(value); further != nil {
				schema[keyword] = t.translate(further, closed)
			}
		case "allOf":
			schema[keyword] = t.all(value, open)
		case "anyOf", "oneOf":
			schema[keyword] = t.all(value, m)
		case "type", "enum", "required", "minimum", "maximum", "minItems", "maxItems", "maxLength":
			schema[keyword] = value
		}
	}
	_, whole := raw["allOf"]
	_, described := raw["additionalProperties"]
	if m == closed && (whole || raw["type"] == "object" && !described) {
		schema["unevaluatedProperties"] = false
	}
	if raw["nullable"] == true {
		return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	return schema
}

func (t *translator) all(value any, m mode) []any {
	var parts []any
	for _, part := range list(value) {
		parts = append(parts, t.translate(object(part), m))
	}
	return parts
}
