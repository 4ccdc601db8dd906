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

// A shape says what a JSON value has to be. It returns the first thing that is
// wrong as OpenAI reports it: status 400, with the path of the value as param.
type validator func(s strictness, path string, value any) error

// A check is how strictly shapes look.
type strictness struct {
	// acceptUnknown lets members and values of closed sets pass that a shape
	// doesn't know.
	acceptUnknown bool
}

func wrongType(path, want string, value any) error {
	return invalid(path, "invalid_type", "'%s' has to be %s, not %s.", path, want, typeName(value))
}

// anything is any JSON value.
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

// textUpTo is a string of at most so many characters.
func stringUpTo(limit int) validator {
	return func(_ strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if length := utf8.RuneCountInString(text); length > limit {
			return invalid(path, "string_above_max_length",
				"'%s' has %d characters; at most %d are allowed.", path, length, limit)
		}
		return nil
	}
}

// textLike is a string that a pattern matches; what describes the pattern.
func stringMatching(pattern *regexp.Regexp, what string) validator {
	return func(_ strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if !pattern.MatchString(text) {
			return invalid(path, "invalid_value", "'%s' has to be %s.", path, what)
		}
		return nil
	}
}

// oneOf is a string out of a closed set.
func oneOf(values ...string) validator {
	return func(s strictness, path string, value any) error {
		text, ok := value.(string)
		if !ok {
			return wrongType(path, "a string", value)
		}
		if !s.acceptUnknown && !slices.Contains(values, text) {
			return invalid(path, "invalid_value", "'%s' is not known for '%s', which is one of: %s.",
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
			return invalid(path, "invalid_type", "'%s' has to be an integer of 64 bits, not %s.",
				path, truncate(number.String(), maxQuotedValue))
		case got < low:
			return invalid(path, "integer_below_min_value", "'%s' is %d; it has to be at least %d.", path, got, low)
		case got > high:
			return invalid(path, "integer_above_max_value", "'%s' is %d; it has to be at most %d.", path, got, high)
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
			return invalid(path, "invalid_type", "'%s' is no number that a double can hold.", path)
		case got < low:
			return invalid(path, "decimal_below_min_value", "'%s' is %v; it has to be at least %v.", path, got, low)
		case got > high:
			return invalid(path, "decimal_above_max_value", "'%s' is %v; it has to be at most %v.", path, got, high)
		default:
			return nil
		}
	}
}

// listOf is an array of so many items.
func listOf(item validator, low, high int) validator {
	return func(s strictness, path string, value any) error {
		items, ok := value.([]any)
		switch {
		case !ok:
			return wrongType(path, "an array", value)
		case len(items) < low:
			return invalid(path, "empty_array", "'%s' has %d items; it has to have at least %d.", path, len(items), low)
		case len(items) > high:
			return invalid(path, "array_above_max_length",
				"'%s' has %d items; at most %d are allowed.", path, len(items), high)
		}
		for i, each := range items {
			if err := item(s, fmt.Sprintf("%s[%d]", path, i), each); err != nil {
				return err
			}
		}
		return nil
	}
}

// mapOf is an object of at most so many members, whose names are the caller's.
func mapOf(keyValidator, valueValidator validator, high int) validator {
	return func(s strictness, path string, value any) error {
		given, ok := value.(*object)
		switch {
		case !ok:
			return wrongType(path, "an object", value)
		case given.len() > high:
			return invalid(path, "object_above_max_properties",
				"'%s' has %d members; at most %d are allowed.", path, given.len(), high)
		}
		for _, key := range given.names {
			if err := keyValidator(s, path, key); err != nil {
				return err
			}
			if err := valueValidator(s, path+"."+key, given.get(key)); err != nil {
				return err
			}
		}
		return nil
	}
}

// isObject is an object with any members.
func isObject(s strictness, path string, value any) error {
	return mapOf(anything, anything, math.MaxInt)(s, path, value)
}

// nullable is null or a shape.
func nullable(inner validator) validator {
	return func(s strictness, path string, value any) error {
		if value == nil {
			return nil
		}
		return inner(s, path, value)
	}
}

// textOr is a string or else a shape.
func stringOr(other validator) validator {
	return func(s strictness, path string, value any) error {
		if _, ok := value.(string); ok {
			return nil
		}
		return other(s, path, value)
	}
}

// record is an object of known members.
type objectValidator struct {
	required []field
	optional []field
}

type field struct {
	name      string
	validator validator
}

// check is the record as a shape.
func (v objectValidator) validate(s strictness, path string, value any) error {
	given, ok := value.(*object)
	if !ok {
		return wrongType(path, "an object", value)
	}
	for _, each := range v.required {
		if !given.has(each.name) {
			at := joinPath(path, each.name)
			return invalid(at, "missing_required_parameter", "'%s' is required.", at)
		}
	}
	for _, name := range given.names {
		inner := v.validatorOf(name)
		if inner == nil {
			if s.acceptUnknown {
				continue
			}
			return unknownFieldError(path, name)
		}
		if err := inner(s, joinPath(path, name), given.get(name)); err != nil {
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

// unknownMember is reported without a param at the top, as OpenAI does.
func unknownFieldError(path, name string) error {
	name = truncate(name, maxQuotedValue)
	if path == "" {
		return invalid("", "", "Unrecognized request argument supplied: %s", name)
	}
	return invalid(joinPath(path, name), "unknown_parameter", "'%s' is no known parameter.", joinPath(path, name))
}

// tagged is an object whose member named tag decides about its shape.
func tagged(tag string, shapes map[string]validator) validator {
	known := make([]string, 0, len(shapes))
	for value := range shapes {
		known = append(known, value)
	}
	slices.Sort(known)
	header := objectValidator{required: []field{{tag, oneOf(known...)}}}
	return func(s strictness, path string, value any) error {
		if err := header.validate(strictness{acceptUnknown: true}, path, value); err != nil {
			return err
		}
		given, _ := value.(*object)
		if err := oneOf(known...)(s, joinPath(path, tag), given.get(tag)); err != nil {
			return err
		}
		inner, ok := shapes[given.str(tag)]
		if !ok {
			return nil
		}
		return inner(s, path, value)
	}
}

// maxName is how many characters of a caller's name or value an error repeats.
const maxQuotedValue = 64

// clip shortens a text to so many characters, and shows that it did.
func truncate(text string, limit int) string {
	for i := range text {
		if limit == 0 {
			return text[:i] + "…"
		}
		limit--
	}
	return text
}
