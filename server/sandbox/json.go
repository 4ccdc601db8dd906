package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// JSON values are represented as nil, bool, json.Number, string, []any and *object.

// An object is a JSON object that preserves the order of its fields, because the order of
// a schema's properties determines the order of structured output. The last of several
// fields of the same name wins, at the position of the first. A nil object is empty.
type object struct {
	names  []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(name string, value any) {
	if _, known := o.values[name]; !known {
		o.names = append(o.names, name)
	}
	o.values[name] = value
}

// get returns nil for a null or missing field.
func (o *object) get(name string) any {
	if o == nil {
		return nil
	}
	return o.values[name]
}

func (o *object) has(name string) bool {
	if o == nil {
		return false
	}
	_, known := o.values[name]
	return known
}

func (o *object) len() int {
	if o == nil {
		return 0
	}
	return len(o.names)
}

// str, boolean, list and object return the zero value for a field that is missing or has
// another type.
func (o *object) str(name string) string {
	value, _ := o.get(name).(string)
	return value
}

func (o *object) boolean(name string) bool {
	value, _ := o.get(name).(bool)
	return value
}

func (o *object) list(name string) []any {
	value, _ := o.get(name).([]any)
	return value
}

func (o *object) object(name string) *object {
	value, _ := o.get(name).(*object)
	return value
}

// integer returns the fallback for a field that is not an integer.
func (o *object) integer(name string, fallback int) int {
	number, _ := o.get(name).(json.Number)
	value, err := strconv.Atoi(number.String())
	if err != nil {
		return fallback
	}
	return value
}

// MarshalJSON preserves the order of the fields.
func (o *object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(encode(name))
		out.WriteByte(':')
		out.Write(encode(o.values[name]))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// encode returns compact JSON without HTML escapes. It panics if the value cannot be
// encoded.
func encode(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Errorf("sandbox: encode JSON: %w", err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// maxDepth is the maximum nesting depth of a request.
const maxDepth = 512

var errTooDeep = fmt.Errorf("nested deeper than %d levels", maxDepth)

// parse parses a single JSON value. Errors include the byte offset.
func parse(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := parseValue(decoder, maxDepth)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			return value, nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, fmt.Errorf("%w, at byte %d", err, decoder.InputOffset())
}

func parseValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, errTooDeep
	}
	switch token {
	case json.Delim('{'):
		return parseObject(decoder, depth-1)
	case json.Delim('['):
		return parseArray(decoder, depth-1)
	default:
		return token, nil
	}
}

func parseObject(decoder *json.Decoder, depth int) (any, error) {
	result := newObject()
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := parseValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		result.set(fmt.Sprint(name), value)
	}
	_, err := decoder.Token()
	return result, err
}

func parseArray(decoder *json.Decoder, depth int) (any, error) {
	result := []any{}
	for decoder.More() {
		value, err := parseValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		result = append(result, value)
	}
	_, err := decoder.Token()
	return result, err
}

// typeName returns the name of a value's type for error messages.
func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	default:
		return "an object"
	}
}
