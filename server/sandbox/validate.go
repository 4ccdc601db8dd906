package sandbox

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A validator checks a JSON value. It returns the first problem as OpenAI reports it:
// status 400 with the path of the value as param.
type validator func(s strictness, path string, value any) error

// strictness controls how strictly values are checked.
type strictness struct {
	// acceptUnknown accepts unknown fields, and unknown values of closed sets.
	acceptUnknown bool
}

func wrongType(path, want string, value any) error {
	return invalid(path, "invalid_type", "Invalid type for '%s': expected %s, but got %s.", path, want, typeName(value))
}

// anything accepts any JSON value.
func anything(strictness, string, any) error { return nil }

func isBoolean(_ strictness, path string, value any) error {
	if _, ok := value.(bool); !ok {
		return wrongType(path, "a boolean", value)
	}
	return nil
}

func isString(_ strictness, path string, value any) error {
	if _, ok := value.(string); !ok {
		return wrongType(path, "a string", value)
	}
	return nil
}

// stringUpTo accepts a string of up to limit characters.
func stringUpTo(limit int) validator {
	return func(_ strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if length := utf8.RuneCountInString(text); length > limit {
			return invalid(path, "string_above_max_length",
				"Invalid '%s': got %d characters, but at most %d are allowed.", path, length, limit)
		}
		return nil
	}
}

// stringMatching accepts a string that matches a pattern. what describes the pattern.
func stringMatching(pattern *regexp.Regexp, what string) validator {
	return func(_ strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if !pattern.MatchString(text) {
			return invalid(path, "invalid_value", "Invalid '%s': expected %s.", path, what)
		}
		return nil
	}
}

// oneOf accepts a string from a closed set.
func oneOf(values ...string) validator {
	return func(s strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if !s.acceptUnknown && !slices.Contains(values, text) {
			return invalid(path, "invalid_value", "Invalid value '%s' for '%s': expected one of %s.",
				truncate(text, maxQuotedValue), path, strings.Join(values, ", "))
		}
		return nil
	}
}

func isInteger(s strictness, path string, value any) error {
	return integerIn(math.MinInt64, math.MaxInt64)(s, path, value)
}

func integerIn(low, high int64) validator {
	return func(_ strictness, path string, value any) error {
		number, ok := value.(json.Number)
		if !ok {
			return wrongType(path, "an integer", value)
		}
		got, err := strconv.ParseInt(number.String(), 10, 64)
		switch {
		case err != nil:
			return invalid(path, "invalid_type", "Invalid type for '%s': expected a 64-bit integer, but got %s.",
				path, truncate(number.String(), maxQuotedValue))
		case got < low:
			return invalid(path, "integer_below_min_value", "Invalid '%s': got %d, but it must be at least %d.", path, got, low)
		case got > high:
			return invalid(path, "integer_above_max_value", "Invalid '%s': got %d, but it must be at most %d.", path, got, high)
		default:
			return nil
		}
	}
}

func numberIn(low, high float64) validator {
	return func(_ strictness, path string, value any) error {
		number, ok := value.(json.Number)
		if !ok {
			return wrongType(path, "a number", value)
		}
		got, err := number.Float64()
		switch {
		case err != nil:
			return invalid(path, "invalid_type", "Invalid '%s': the number exceeds the range of a double.", path)
		case got < low:
			return invalid(path, "decimal_below_min_value", "Invalid '%s': got %v, but it must be at least %v.", path, got, low)
		case got > high:
			return invalid(path, "decimal_above_max_value", "Invalid '%s': got %v, but it must be at most %v.", path, got, high)
		default:
			return nil
		}
	}
}

// listOf accepts an array of low to high items.
func listOf(item validator, low, high int) validator {
	return func(s strictness, path string, value any) error {
		items, ok := value.([]any)
		switch {
		case !ok:
			return wrongType(path, "an array", value)
		case len(items) < low:
			return invalid(path, "empty_array", "Invalid '%s': got %d items, but at least %d are required.", path, len(items), low)
		case len(items) > high:
			return invalid(path, "array_above_max_length",
				"Invalid '%s': got %d items, but at most %d are allowed.", path, len(items), high)
		}
		for i, each := range items {
			if err := item(s, fmt.Sprintf("%s[%d]", path, i), each); err != nil {
				return err
			}
		}
		return nil
	}
}

// mapOf accepts an object with arbitrary names and up to high fields.
func mapOf(keyValidator, valueValidator validator, high int) validator {
	return func(s strictness, path string, value any) error {
		obj, ok := value.(*object)
		switch {
		case !ok:
			return wrongType(path, "an object", value)
		case obj.len() > high:
			return invalid(path, "object_above_max_properties",
				"Invalid '%s': got %d fields, but at most %d are allowed.", path, obj.len(), high)
		}
		for _, key := range obj.names {
			if err := keyValidator(s, path, key); err != nil {
				return err
			}
			if err := valueValidator(s, path+"."+key, obj.get(key)); err != nil {
				return err
			}
		}
		return nil
	}
}

// isObject accepts an object with any fields.
func isObject(s strictness, path string, value any) error {
	return mapOf(anything, anything, math.MaxInt)(s, path, value)
}

// nullable accepts null, or a value that inner accepts.
func nullable(inner validator) validator {
	return func(s strictness, path string, value any) error {
		if value == nil {
			return nil
		}
		return inner(s, path, value)
	}
}

// stringOr accepts a string, or a value that other accepts.
func stringOr(other validator) validator {
	return func(s strictness, path string, value any) error {
		if _, ok := value.(string); ok {
			return nil
		}
		return other(s, path, value)
	}
}

// objectValidator accepts an object with known fields.
type objectValidator struct {
	required []field
	optional []field
}

type field struct {
	name      string
	validator validator
}

// validate is a [validator].
func (v objectValidator) validate(s strictness, path string, value any) error {
	obj, ok := value.(*object)
	if !ok {
		return wrongType(path, "an object", value)
	}
	for _, each := range v.required {
		if !obj.has(each.name) {
			at := joinPath(path, each.name)
			return invalid(at, "missing_required_parameter", "'%s' is required.", at)
		}
	}
	for _, name := range obj.names {
		inner := v.validatorOf(name)
		if inner == nil {
			if s.acceptUnknown {
				continue
			}
			return unknownFieldError(path, name)
		}
		if err := inner(s, joinPath(path, name), obj.get(name)); err != nil {
			return err
		}
	}
	return nil
}

func (v objectValidator) validatorOf(name string) validator {
	for _, each := range v.required {
		if each.name == name {
			return each.validator
		}
	}
	for _, each := range v.optional {
		if each.name == name {
			return each.validator
		}
	}
	return nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// unknownFieldError returns the error for an unknown field. Like OpenAI's, it has no
// param for a top-level field.
func unknownFieldError(path, name string) error {
	name = truncate(name, maxQuotedValue)
	if path == "" {
		return invalid("", "", "Unrecognized request argument supplied: %s", name)
	}
	return invalid(joinPath(path, name), "unknown_parameter", "Unknown parameter: '%s'.", joinPath(path, name))
}

// tagged accepts an object whose tag field selects the validator.
func tagged(tag string, validators map[string]validator) validator {
	known := make([]string, 0, len(validators))
	for value := range validators {
		known = append(known, value)
	}
	slices.Sort(known)
	header := objectValidator{required: []field{{tag, oneOf(known...)}}}
	return func(s strictness, path string, value any) error {
		if err := header.validate(strictness{acceptUnknown: true}, path, value); err != nil {
			return err
		}
		obj, _ := value.(*object)
		if err := oneOf(known...)(s, joinPath(path, tag), obj.get(tag)); err != nil {
			return err
		}
		inner, ok := validators[obj.str(tag)]
		if !ok {
			return nil
		}
		return inner(s, path, value)
	}
}

// maxQuotedValue is the maximum number of characters of a request's names and values
// quoted in an error.
const maxQuotedValue = 64

// truncate shortens a string to limit characters and appends an ellipsis.
func truncate(text string, limit int) string {
	for i := range text {
		if limit == 0 {
			return text[:i] + "…"
		}
		limit--
	}
	return text
}
