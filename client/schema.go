package client

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf is the JSON Schema of a struct type, in the form that OpenAI's strict
// mode takes: every property is required, in the order of the fields, and there
// are no others. What may be left out in Go, by a pointer or by omitempty, may be
// null.
//
// A field's tag `json` names it, `jsonschema` describes it, and `enum` lists the
// strings that it takes, with commas between.
func schemaOf(of reflect.Type) (string, error) {
	if of.Kind() != reflect.Struct {
		return "", fmt.Errorf("client: %v can't be the root of a schema: OpenAI takes an object there, so use a struct with the fields", of)
	}
	schema, err := jsonschema.ForType(of, nil)
	if err != nil {
		return "", fmt.Errorf("client: there is no schema of %v: %w", of, err)
	}
	if err := makeStrict(schema, of, of.String()); err != nil {
		return "", err
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return "", fmt.Errorf("client: there is no schema of %v: %w", of, err)
	}
	return string(text), nil
}

// makeStrict makes the schema of a type, which is found at the path, one of strict
// mode.
func makeStrict(schema *jsonschema.Schema, of reflect.Type, path string) error {
	nullable := of.Kind() == reflect.Pointer
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	kind := kindOf(schema)
	schema.Type, schema.Types = kind, nil // A slice is never null: it may be empty.
	if nullable {
		makeNullable(schema)
	}
	switch {
	case kind == "string", kind == "boolean", kind == "number", kind == "integer":
		return nil
	case kind == "array":
		return makeStrict(schema.Items, of.Elem(), path+"[]")
	case of.Kind() == reflect.Struct:
		return makeStrictObject(schema, of, path)
	case of.Kind() == reflect.Map:
		return fmt.Errorf("client: %s is a map, which strict schemas don't know: use a struct, or a slice of pairs", path)
	default:
		return fmt.Errorf("client: %s is of type %v, which strict schemas don't know", path, of)
	}
}

func makeStrictObject(schema *jsonschema.Schema, of reflect.Type, path string) error {
	if schema.Properties == nil {
		schema.Properties = map[string]*jsonschema.Schema{}
	}
	required := make(map[string]bool, len(schema.Required))
	for _, name := range schema.Required {
		required[name] = true
	}
	for _, field := range reflect.VisibleFields(of) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
		}
		property := schema.Properties[name]
		if property == nil || field.Anonymous {
			continue
		}
		if err := makeStrict(property, field.Type, path+"."+field.Name); err != nil {
			return err
		}
		if !required[name] {
			makeNullable(property)
		}
		if err := restrict(property, field.Tag.Get("enum"), path+"."+field.Name); err != nil {
			return err
		}
	}
	schema.Required = schema.PropertyOrder
	return nil
}

// makeNullable lets a schema be null too.
func makeNullable(schema *jsonschema.Schema) {
	if schema.Type != "" {
		schema.Types, schema.Type = []string{schema.Type, "null"}, ""
	}
}

// restrict takes the values that an enum tag lists.
func restrict(schema *jsonschema.Schema, enum, path string) error {
	if enum == "" {
		return nil
	}
	target := schema
	if kindOf(schema) == "array" {
		target = schema.Items
	}
	if kindOf(target) != "string" {
		return fmt.Errorf("client: %s has the tag enum, which is for strings", path)
	}
	for value := range strings.SplitSeq(enum, ",") {
		target.Enum = append(target.Enum, value)
	}
	if target.Type == "" {
		target.Enum = append(target.Enum, nil)
	}
	return nil
}

// kindOf is the type of a schema, beside null. Empty is any.
func kindOf(schema *jsonschema.Schema) string {
	kind := schema.Type
	for _, each := range schema.Types {
		if each != "null" {
			kind = each
		}
	}
	return kind
}
