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

// The tags that describe a field. The second one is that of
// github.com/invopop/jsonschema.
const (
	descriptionTag      = "jsonschema"
	otherDescriptionTag = "jsonschema_description"
)

// keyword is how a tag of github.com/invopop/jsonschema begins, which is no
// description.
var keyword = regexp.MustCompile(`^[^ \t\n]*=`)

// descriptionOf is the description of a field by its tags.
func descriptionOf(field schemaField, path string) (string, error) {
	if _, ok := field.Tag.Lookup("jsonschema_extras"); ok {
		return "", fmt.Errorf("client: %s has the tag jsonschema_extras, which is not understood: use json, jsonschema and enum", path)
	}
	text, ok := field.Tag.Lookup(descriptionTag)
	other, otherOK := field.Tag.Lookup(otherDescriptionTag)
	switch {
	case ok && otherOK && text != other:
		return "", fmt.Errorf("client: %s has two descriptions, by the tags %s and %s: leave one out", path, descriptionTag, otherDescriptionTag)
	case ok && text == "", otherOK && other == "":
		return "", fmt.Errorf("client: %s has an empty description: write one, or leave the tag out", path)
	case ok && keyword.MatchString(text):
		return "", fmt.Errorf("client: %s has the tag jsonschema %q, which is not a description: it must not begin with WORD=", path, text)
	case ok:
		return text, nil
	default:
		return other, nil
	}
}

// restrict takes the values that an enum tag lists: for strings, or for the items
// of a list. Each of them must be one that the type takes.
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
		return fmt.Errorf("client: %s has the tag enum and the option string: leave one out", path)
	case kindOf(schema) != "string":
		return fmt.Errorf("client: %s has the tag enum, which is for strings", path)
	}
	for value := range strings.SplitSeq(tag, ",") {
		value = strings.TrimSpace(value)
		if err := json.Unmarshal(quote(value), reflect.New(of).Interface()); err != nil {
			return fmt.Errorf("client: %s has the tag enum with %q, which a %v does not take: %w", path, value, of, err)
		}
		schema.Enum = append(schema.Enum, value)
	}
	if schema.Type == "" {
		schema.Enum = append(schema.Enum, nil)
	}
	return nil
}

// What a string has to be.
const (
	base64Pattern = `^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`
	textPattern   = `^"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"$`
	// Numbers of so many digits are within the range of their type.
	float32Pattern = `^-?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,19})?(?:[eE][-+]?[0-9])?$`
	float64Pattern = `^-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,2})?$`
)

var errQuotedText = errors.New("reads itself from text, and has the option string: leave the option out")

// quotedSchema is the schema of a value in a string, as the option string of a
// json tag asks for.
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
		most := uint64(1)<<(of.Bits()-1) - 1
		schema.Pattern = fmt.Sprintf("^(?:%s|-(?:%s))$", upTo(most), upTo(most+1))
	default:
		schema.Pattern = fmt.Sprintf("^(?:%s)$", upTo(math.MaxUint64>>(64-of.Bits())))
	}
	if isPointer {
		makeNullable(schema)
	}
	return schema, nil
}

// upTo is a pattern of the decimal numbers from 0 to the most.
func upTo(most uint64) string {
	digits := strconv.FormatUint(most, 10)
	var choices []string
	if len(digits) > 1 {
		choices = append(choices, "0")
	}
	if len(digits) > 2 {
		choices = append(choices, fmt.Sprintf("[1-9][0-9]{0,%d}", len(digits)-2))
	} else if len(digits) == 2 {
		choices = append(choices, "[1-9]")
	}
	for i, digit := range []byte(digits) { // As many digits, and the first i are the same.
		least := byte('0')
		if i == 0 && len(digits) > 1 {
			least = '1'
		}
		if digit > least {
			choices = append(choices, fmt.Sprintf("%s[%c-%c][0-9]{%d}", digits[:i], least, digit-1, len(digits)-i-1))
		}
	}
	return strings.Join(append(choices, digits), "|")
}
