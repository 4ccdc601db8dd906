// Package restjsontest compares JSON as the REST codec promises to keep it, for
// the tests of whatever stands on the codec.
//
// It parses with encoding/json, not with the codec: a judge must not share the
// mistakes of the judged.
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

// Same returns an error that says where got differs from want. The order of an
// object's members doesn't matter, nor the form of a number or a string.
func Same(want, got []byte) error {
	return compare(want, got, func(path string, want, got any) error {
		return walk(path, want, got, func(path, _ string, want, got any) error {
			return fmt.Errorf("%s: want %s, got %s", at(path), show(want), show(got))
		})
	})
}

// SameButEmpty is [Same], but null, absent and a type's zero value are one.
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

// Kept returns an error that says where the codec's full encoding out does not
// have what the decoded text in has, or has what it has not. By the codec's
// rules,
//
//   - null, an empty list or object, and an absent member are one;
//   - out may have more: the members that the schema requires, as zero values,
//     and those with one legal value (`type`, `object`, `mode`);
//   - `stop` may come as one string, and goes out as a list;
//   - the list that is a message's content may go by the name content or
//     content_parts.
func Kept(in, out []byte) error {
	return compare(in, out, func(path string, in, out any) error {
		return walk(path, settle(in), settle(out), func(path, name string, in, out any) error {
			switch {
			case isEmpty(in) && (isZero(out) || isConstant(name, out)):
				return nil
			case out == nil:
				return fmt.Errorf("%s: %s was lost", at(path), show(in))
			case isEmpty(in):
				return fmt.Errorf("%s: %s was invented", at(path), show(out))
			default:
				return fmt.Errorf("%s: %s became %s", at(path), show(in), show(out))
			}
		})
	})
}

// Repeats reports whether an object in the text, at any depth, has two members
// of one name.
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

// walk reports the first difference that judge confirms. An absent member is
// judged as null.
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

// sameNumber compares by text, and else as doubles, as which the schema has
// them.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

// settle gives what may take two forms the one.
func settle(v any) any {
	switch v := v.(type) {
	case map[string]any:
		settled := make(map[string]any, len(v))
		for name, value := range v {
			settled[name] = settle(value)
		}
		if text, ok := settled["stop"].(string); ok {
			settled["stop"] = []any{text}
		}
		if list, ok := settled["content"].([]any); ok && isEmpty(settled["content_parts"]) {
			settled["content"], settled["content_parts"] = nil, list
		}
		return settled
	case []any:
		settled := make([]any, len(v))
		for i, value := range v {
			settled[i] = settle(value)
		}
		return settled
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

var errMore = errors.New("the value has ended, and more follows")

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

// show is a value as JSON, cut where it gets long.
func show(v any) string {
	const most = 200
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}
