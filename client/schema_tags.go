package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Tags that describe a field. The second one is used by
// github.com/invopop/jsonschema.
const (
	descriptionTag      = "jsonschema"
	otherDescriptionTag = "jsonschema_description"
)

// keyword matches the start of a tag of github.com/invopop/jsonschema, which has a
// different syntax.
var keyword = regexp.MustCompile(`^[^ \t\n]*=`)

// descriptionOf returns the description of a field from its tags.
func descriptionOf(field schemaField, path string) (string, error) {
	if _, ok := field.Tag.Lookup("jsonschema_extras"); ok {
		return "", fmt.Errorf("client: %s has the unsupported tag jsonschema_extras: use json, jsonschema and enum", path)
	}
	text, ok := field.Tag.Lookup(descriptionTag)
	other, otherOK := field.Tag.Lookup(otherDescriptionTag)
	switch {
	case ok && otherOK && text != other:
		return "", fmt.Errorf("client: %s has different descriptions in the tags %s and %s: remove one", path, descriptionTag, otherDescriptionTag)
	case ok && text == "", otherOK && other == "":
		return "", fmt.Errorf("client: %s has an empty description: write one, or remove the tag", path)
	case ok && keyword.MatchString(text):
		return "", fmt.Errorf("client: %s has the invalid tag jsonschema %q: a description must not start with WORD=", path, text)
	case ok:
		return text, nil
	default:
		return other, nil
	}
}

// restrict applies the enum tag of a string field or of a list of strings. The
// field's type must accept each value.
func restrict(schema *jsonschema.Schema, field schemaField, path string) error {
	tag, ok := field.Tag.Lookup("enum")
	if !ok {
		return nil
	}
	of := field.Type
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if kindOf(schema) == "array" {
		schema, of = schema.Items, of.Elem()
	}
	switch {
	case field.quoted:
		return fmt.Errorf("client: %s has both the tag enum and the option string: remove one", path)
	case kindOf(schema) != "string":
		return fmt.Errorf("client: %s has the tag enum, which requires a string or a list of strings", path)
	}
	for value := range strings.SplitSeq(tag, ",") {
		value = strings.TrimSpace(value)
		if err := json.Unmarshal(quote(value), reflect.New(of).Interface()); err != nil {
			return fmt.Errorf("client: %s has the invalid enum value %q for type %v: %w", path, value, of, err)
		}
		schema.Enum = append(schema.Enum, value)
	}
	if schema.Type == "" {
		schema.Enum = append(schema.Enum, nil)
	}
	return nil
}

// Patterns of string values.
const (
	base64Pattern = `^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`
	textPattern   = `^"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"$`
	// Numbers with at most this many digits fit the type.
	float32Pattern = `^-?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,19})?(?:[eE][-+]?[0-9])?$`
	float64Pattern = `^-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,2})?$`
)

var errQuotedText = errors.New("has both UnmarshalText and the option string: remove the option")

// quotedSchema returns the schema of a value with the option string in its json
// tag, which puts it in a JSON string.
func quotedSchema(of reflect.Type, path string) (*jsonschema.Schema, error) {
	isPointer := of.Kind() == reflect.Pointer
	if isPointer {
		of = of.Elem()
	}
	schema := &jsonschema.Schema{Type: "string"}
	switch kind := of.Kind(); {
	case of == reflect.TypeFor[json.Number]():
		schema.Pattern = float64Pattern
	case decodesText(of):
		return nil, fmt.Errorf("client: %s %w", path, errQuotedText)
	case kind == reflect.Bool:
		schema.Enum = []any{"true", "false"}
	case kind == reflect.String:
		schema.Pattern = textPattern
	case kind == reflect.Float32:
		schema.Pattern = float32Pattern
	case kind == reflect.Float64:
		schema.Pattern = float64Pattern
	case reflect.Int <= kind && kind <= reflect.Int64:
		maximum := uint64(1)<<(of.Bits()-1) - 1
		schema.Pattern = fmt.Sprintf("^(?:%s|-(?:%s))$", upTo(maximum), upTo(maximum+1))
	default:
		schema.Pattern = fmt.Sprintf("^(?:%s)$", upTo(math.MaxUint64>>(64-of.Bits())))
	}
	if isPointer {
		makeNullable(schema)
	}
	return schema, nil
}

// upTo returns a pattern that matches the decimal numbers from 0 to maximum.
func upTo(maximum uint64) string {
	digits := strconv.FormatUint(maximum, 10)
	var choices []string
	if len(digits) > 1 {
		choices = append(choices, "0")
	}
	if len(digits) > 2 {
		choices = append(choices, fmt.Sprintf("[1-9][0-9]{0,%d}", len(digits)-2))
	} else if len(digits) == 2 {
		choices = append(choices, "[1-9]")
	}
	for i, digit := range []byte(digits) { // numbers of this length that share the first i digits
		lowest := byte('0')
		if i == 0 && len(digits) > 1 {
			lowest = '1'
		}
		if digit > lowest {
			choices = append(choices, fmt.Sprintf("%s[%c-%c][0-9]{%d}", digits[:i], lowest, digit-1, len(digits)-i-1))
		}
	}
	return strings.Join(append(choices, digits), "|")
}
