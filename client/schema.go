package client

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemaOf returns the JSON Schema of a struct type as required by OpenAI's strict
// mode: all properties are required, in the order of the fields, and additional
// properties are forbidden. The schema describes the JSON that encoding/json decodes
// into the type. Optional fields (pointers, omitempty, omitzero) are nullable. If a
// field has no strict schema, the error names it.
//
// [NewTool] documents the tags of a field.
func schemaOf(of reflect.Type) (string, error) {
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return "", fmt.Errorf("client: invalid root type %v: OpenAI requires an object; use a struct", of)
	}
	schema, err := new(schemaWriter).of(of, of.String())
	if err != nil {
		return "", err
	}
	if schema.Type != "object" {
		return "", fmt.Errorf("client: invalid root type %v: it has UnmarshalText, so it is a string, and OpenAI requires an object; use it as a field of a struct", of)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return "", fmt.Errorf("client: cannot encode the schema of %v: %w", of, err)
	}
	return string(text), nil
}

// schemaWriter generates the schema of a type and the types that it contains.
type schemaWriter struct{ enclosing []reflect.Type }

// of returns the schema of a type. The path locates it in errors.
func (w *schemaWriter) of(of reflect.Type, path string) (*jsonschema.Schema, error) {
	if slices.Contains(w.enclosing, of) {
		return nil, fmt.Errorf("client: %s has the recursive type %v, which a strict schema cannot describe", path, of)
	}
	w.enclosing = append(w.enclosing, of)
	defer func() { w.enclosing = w.enclosing[:len(w.enclosing)-1] }()
	switch schema := customSchema(of); {
	case schema != nil:
		return schema, nil
	case decodesJSON(of):
		return nil, fmt.Errorf("client: %s has type %v, whose UnmarshalJSON may accept any JSON: use a type without this method", path, of)
	}
	switch of.Kind() {
	case reflect.Pointer:
		schema, err := w.of(of.Elem(), path)
		if err == nil {
			makeNullable(schema)
		}
		return schema, err
	case reflect.Struct:
		return w.object(of, path)
	case reflect.Slice, reflect.Array:
		return w.list(of, path)
	case reflect.Map:
		return nil, fmt.Errorf("client: %s is a map, which a strict schema cannot describe: use a struct or a slice of pairs", path)
	default:
		if schema := scalar(of); schema != nil {
			return schema, nil
		}
		return nil, fmt.Errorf("client: %s has type %v, which a strict schema cannot describe", path, of)
	}
}

// customSchema returns the schema of a type that does not decode by its kind, or nil.
func customSchema(of reflect.Type) *jsonschema.Schema {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case of == reflect.TypeFor[json.Number]():
		return &jsonschema.Schema{Type: "number"}
	case !decodesJSON(of) && decodesText(of):
		return &jsonschema.Schema{Type: "string"}
	default:
		return nil
	}
}

// decodesJSON reports whether encoding/json uses the UnmarshalJSON of a type.
func decodesJSON(of reflect.Type) bool { return decodesWith[json.Unmarshaler](of) }

// decodesText reports whether encoding/json uses the UnmarshalText of a type.
func decodesText(of reflect.Type) bool { return decodesWith[encoding.TextUnmarshaler](of) }

// decodesWith excludes pointers, which decode into their element, and interfaces,
// which have no value to decode into.
func decodesWith[Method any](of reflect.Type) bool {
	return of.Kind() != reflect.Pointer && of.Kind() != reflect.Interface && reflect.PointerTo(of).Implements(reflect.TypeFor[Method]())
}

// scalar returns the schema of a number, string or Boolean, or nil. 64-bit integers
// have no bounds, since not every JSON reader represents them exactly.
func scalar(of reflect.Type) *jsonschema.Schema {
	integer := func(minimum, maximum *float64) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "integer", Minimum: minimum, Maximum: maximum}
	}
	switch of.Kind() {
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}
	case reflect.Int8, reflect.Int16, reflect.Int32:
		limit := math.Ldexp(1, of.Bits()-1)
		return integer(new(-limit), new(limit-1))
	case reflect.Int, reflect.Int64:
		return integer(nil, nil)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return integer(new(0.0), new(math.Ldexp(1, of.Bits())-1))
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return integer(new(0.0), nil)
	case reflect.Float32:
		return &jsonschema.Schema{Type: "number", Minimum: new(-math.MaxFloat32), Maximum: new(math.MaxFloat32)}
	case reflect.Float64:
		return &jsonschema.Schema{Type: "number"}
	default:
		return nil
	}
}

// list returns the schema of a slice or an array. A slice is not nullable, since it
// may be empty. As in encoding/json, a byte slice is base64, but a byte array is a
// list.
func (w *schemaWriter) list(of reflect.Type, path string) (*jsonschema.Schema, error) {
	item := of.Elem()
	if of.Kind() == reflect.Slice && item.Kind() == reflect.Uint8 && !decodesJSON(item) && !decodesText(item) {
		return &jsonschema.Schema{Type: "string", Pattern: base64Pattern}, nil
	}
	items, err := w.of(item, path+"[]")
	if err != nil {
		return nil, err
	}
	schema := &jsonschema.Schema{Type: "array", Items: items}
	if of.Kind() == reflect.Array {
		schema.MinItems, schema.MaxItems = new(of.Len()), new(of.Len())
	}
	return schema, nil
}

func (w *schemaWriter) object(of reflect.Type, path string) (*jsonschema.Schema, error) {
	schema := &jsonschema.Schema{
		Type: "object", Properties: make(map[string]*jsonschema.Schema),
		AdditionalProperties: &jsonschema.Schema{Not: new(jsonschema.Schema)}, // encoded as false
	}
	fields, err := fieldsOf(of, path)
	if err != nil {
		return nil, err
	}
	for _, field := range fields {
		property, err := w.property(field, path+"."+field.Name)
		if err != nil {
			return nil, err
		}
		schema.Properties[field.name] = property
		schema.PropertyOrder = append(schema.PropertyOrder, field.name)
	}
	schema.Required = schema.PropertyOrder
	return schema, nil
}

// property returns the schema of a field.
func (w *schemaWriter) property(field schemaField, path string) (*jsonschema.Schema, error) {
	schema, err := w.of(field.Type, path)
	if err != nil {
		return nil, err
	}
	if field.quoted {
		if schema, err = quotedSchema(field.Type, path); err != nil {
			return nil, err
		}
	}
	if field.optional {
		makeNullable(schema)
	}
	if schema.Description, err = descriptionOf(field, path); err != nil {
		return nil, err
	}
	return schema, restrict(schema, field, path)
}

// makeNullable allows null in addition to a schema's type.
func makeNullable(schema *jsonschema.Schema) {
	if schema.Type != "" {
		schema.Types, schema.Type = []string{schema.Type, "null"}, ""
		if schema.Enum != nil {
			schema.Enum = append(schema.Enum, nil)
		}
	}
}

// kindOf returns the type of a schema, without null if it is nullable.
func kindOf(schema *jsonschema.Schema) string {
	if schema.Type == "" {
		return schema.Types[0]
	}
	return schema.Type
}
