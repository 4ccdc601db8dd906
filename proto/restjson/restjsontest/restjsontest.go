// Package restjsontest compares JSON by the guarantees of the REST codec, for tests
// of the codec and its users.
//
// It parses with encoding/json, so that it does not share errors with the codec.
package restjsontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Same returns an error that names the first difference between want and got. The
// order of members and the notation of numbers and strings do not matter.
func Same(want, got []byte) error {
	return compare(want, got, func(path string, want, got any) error {
		return walk(path, want, got, func(path, _ string, want, got any) error {
			return fmt.Errorf("%s: want %s, got %s", at(path), show(want), show(got))
		})
	})
}

// SameButEmpty is like [Same], but null, absent and zero values are equal.
func SameButEmpty(want, got []byte) error {
	return compare(want, got, func(path string, want, got any) error {
		return walk(path, want, got, func(path, _ string, want, got any) error {
			if isZero(want) && isZero(got) {
				return nil
			}
			return fmt.Errorf("%s: want %s, got %s", at(path), show(want), show(got))
		})
	})
}

// Kept returns an error that names what the codec's full encoding out lost of the
// decoded text in, or added to it. By the codec's rules:
//
//   - null, an empty array or object, and an absent member are equal;
//   - out may have additional members: required members with zero values, and
//     constants (`type`, `object`, `mode`);
//   - `stop` may be one string in in, and is an array in out;
//   - the array of a message's content may have the name content or content_parts.
func Kept(in, out []byte) error {
	return compare(in, out, func(path string, in, out any) error {
		return walk(path, normalize(in), normalize(out), func(path, name string, in, out any) error {
			switch {
			case isEmpty(in) && (isZero(out) || isConstant(name, out)):
				return nil
			case out == nil:
				return fmt.Errorf("%s: %s was lost", at(path), show(in))
			case isEmpty(in):
				return fmt.Errorf("%s: %s was added", at(path), show(out))
			default:
				return fmt.Errorf("%s: %s became %s", at(path), show(in), show(out))
			}
		})
	})
}

// Repeats reports whether an object in the text, at any depth, has two members with
// the same name.
func Repeats(text []byte) (bool, error) {
	_, repeats, err := parse(text)
	return repeats, err
}

func compare(a, b []byte, difference func(path string, a, b any) error) error {
	x, _, err := parse(a)
	if err != nil {
		return fmt.Errorf("%w in %s", err, a)
	}
	y, _, err := parse(b)
	if err != nil {
		return fmt.Errorf("%w in %s", err, b)
	}
	return difference("", x, y)
}

// walk returns the error of judge for the first difference for which it returns one.
// An absent member is passed as null.
func walk(path string, a, b any, judge func(path, name string, a, b any) error) error {
	var descend func(path, name string, a, b any) error
	descend = func(path, name string, a, b any) error {
		switch x := a.(type) {
		case map[string]any:
			y, ok := b.(map[string]any)
			if !ok {
				return judge(path, name, a, b)
			}
			names := maps.Clone(x)
			maps.Copy(names, y)
			for _, name := range slices.Sorted(maps.Keys(names)) {
				if err := descend(path+"."+name, name, x[name], y[name]); err != nil {
					return err
				}
			}
			return nil
		case []any:
			y, ok := b.([]any)
			if !ok || len(x) != len(y) {
				return judge(path, name, a, b)
			}
			for i := range x {
				if err := descend(path+"["+strconv.Itoa(i)+"]", "", x[i], y[i]); err != nil {
					return err
				}
			}
			return nil
		case json.Number:
			if y, ok := b.(json.Number); ok && sameNumber(x, y) {
				return nil
			}
			return judge(path, name, a, b)
		default:
			if _, isObject := b.(map[string]any); isObject {
				return judge(path, name, a, b)
			}
			if _, isList := b.([]any); isList || a != b {
				return judge(path, name, a, b)
			}
			return nil
		}
	}
	return descend(path, "", a, b)
}

// sameNumber compares numbers by text, then as doubles, the type in the schema.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

// normalize converts values with two forms to one of them.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		normalized := make(map[string]any, len(v))
		for name, value := range v {
			normalized[name] = normalize(value)
		}
		if text, ok := normalized["stop"].(string); ok {
			normalized["stop"] = []any{text}
		}
		if list, ok := normalized["content"].([]any); ok && isEmpty(normalized["content_parts"]) {
			normalized["content"], normalized["content_parts"] = nil, list
		}
		return normalized
	case []any:
		normalized := make([]any, len(v))
		for i, value := range v {
			normalized[i] = normalize(value)
		}
		return normalized
	default:
		return v
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

func isZero(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case json.Number:
		f, err := v.Float64()
		return err == nil && f == 0
	case map[string]any:
		for name, value := range v {
			if !isZero(value) && !isConstant(name, value) {
				return false
			}
		}
		return true
	default:
		return isEmpty(v)
	}
}

func isConstant(name string, v any) bool {
	_, isText := v.(string)
	return isText && (name == "type" || name == "object" || name == "mode")
}

var errMore = errors.New("unexpected data after the value")

func parse(text []byte) (v any, repeats bool, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err = parseValue(d, &repeats)
	if err != nil {
		return nil, false, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, false, errMore
	}
	return v, repeats, nil
}

func parseValue(d *json.Decoder, repeats *bool) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := make(map[string]any)
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := parseValue(d, repeats)
			if err != nil {
				return nil, err
			}
			key, _ := name.(string) // a decoder gives no other token here
			if _, again := object[key]; again {
				*repeats = true
			}
			object[key] = value
		}
		_, err = d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, err := parseValue(d, repeats)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = d.Token()
		return list, err
	default:
		return token, nil
	}
}

func at(path string) string {
	if path == "" {
		return "the text"
	}
	return path
}

// show returns a value as JSON, truncated if it is long.
func show(v any) string {
	const maxLength = 200
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(text) > maxLength {
		return string(text[:maxLength]) + "…"
	}
	return string(text)
}
