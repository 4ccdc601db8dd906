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

// schemaOf is the JSON Schema of a struct type, in the form that OpenAI's strict
// mode takes: every property is required, in the order of the fields, and there
// are no others. It describes the JSON that encoding/json decodes into the type,
// or is an error that names what has no such schema. What may be left out in Go,
// by a pointer, omitempty or omitzero, may be null.
//
// The tags of a field are those of [NewTool].
func schemaOf(of reflect.Type) (string, error) {
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return "", fmt.Errorf("client: %v can't be the root of a schema: OpenAI takes an object there, so use a struct with the fields", of)
	}
	schema, err := new(schemaWriter).of(of, of.String())
	if err != nil {
		return "", err
	}
	if schema.Type != "object" {
		return "", fmt.Errorf("client: %v can't be the root of a schema, as it reads itself from text: OpenAI takes an object there, so use a struct that has it as a field", of)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return "", fmt.Errorf("client: there is no schema of %v: %w", of, err)
	}
	return string(text), nil
}

// schemaWriter knows the types around the one that it is at.
type schemaWriter struct{ around []reflect.Type }

// of is the schema of a type, which is found at the path.
func (w *schemaWriter) of(of reflect.Type, path string) (*jsonschema.Schema, error) {
	if slices.Contains(w.around, of) {
		return nil, fmt.Errorf("client: %s is of type %v, which contains itself: a strict schema can't have a cycle", path, of)
	}
	w.around = append(w.around, of)
	defer func() { w.around = w.around[:len(w.around)-1] }()
	switch schema := ownSchema(of); {
	case schema != nil:
		return schema, nil
	case decodesJSON(of):
		return nil, fmt.Errorf("client: %s is of type %v, whose UnmarshalJSON may take any JSON: use a type without one", path, of)
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
		return nil, fmt.Errorf("client: %s is a map, which strict schemas don't know: use a struct, or a slice of pairs", path)
	default:
		if schema := scalar(of); schema != nil {
			return schema, nil
		}
		return nil, fmt.Errorf("client: %s is of type %v, which strict schemas don't know", path, of)
	}
}

// ownSchema is the schema of a type that reads itself in a known way, or nil.
func ownSchema(of reflect.Type) *jsonschema.Schema {
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

// decodesJSON reports whether encoding/json has a type read its JSON itself. A
// pointer does what its element does, and an interface has nothing to read into.
func decodesJSON(of reflect.Type) bool { return decodesBy[json.Unmarshaler](of) }

// decodesText is decodesJSON for a type that reads the text of a JSON string.
func decodesText(of reflect.Type) bool { return decodesBy[encoding.TextUnmarshaler](of) }

func decodesBy[Method any](of reflect.Type) bool {
	return of.Kind() != reflect.Pointer && of.Kind() != reflect.Interface && reflect.PointerTo(of).Implements(reflect.TypeFor[Method]())
}

// scalar is the schema of a number, a string or a truth value, or nil. Integers
// of 64 bits have no bound that JSON numbers could express in every reader.
func scalar(of reflect.Type) *jsonschema.Schema {
	integer := func(least, most *float64) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "integer", Minimum: least, Maximum: most}
	}
	switch of.Kind() {
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}
	case reflect.Int8, reflect.Int16, reflect.Int32:
		most := math.Ldexp(1, of.Bits()-1)
		return integer(new(-most), new(most-1))
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

// list is the schema of a slice or an array. A slice is never null: it may be
// empty. One of bytes is base64, as encoding/json has it, but an array of them is
// a list.
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
		AdditionalProperties: &jsonschema.Schema{Not: new(jsonschema.Schema)}, // Which is written as false.
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

// property is the schema of a field.
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
	if field.omitted {
		makeNullable(schema)
	}
	if schema.Description, err = descriptionOf(field, path); err != nil {
		return nil, err
	}
	return schema, restrict(schema, field, path)
}

// makeNullable lets a schema be null too.
func makeNullable(schema *jsonschema.Schema) {
	if schema.Type != "" {
		schema.Types, schema.Type = []string{schema.Type, "null"}, ""
		if schema.Enum != nil {
			schema.Enum = append(schema.Enum, nil)
		}
	}
}

// kindOf is the type of a schema, beside null.
func kindOf(schema *jsonschema.Schema) string {
	if schema.Type == "" {
		return schema.Types[0]
	}
	return schema.Type
}
