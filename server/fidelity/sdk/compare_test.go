package sdk_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// compareJSON reports the first difference between two JSON documents. It parses them
// with neither the codec nor the SDK. These forms are equal:
//
//   - null, an empty array or object, and an absent member;
//   - an object with its members in different orders;
//   - a string with different escapes;
//   - a single stop sequence and an array of it;
//   - a message's array in content or in content_parts.
//
// Numbers are compared by their exact decimal value, so 1e-6 equals 0.000001. A JSON
// Schema must be identical except for the escapes in its strings, because its order
// influences a model's output.
func compareJSON(a, b []byte) error {
	x, err := jsontree.Parse(a)
	if err != nil {
		return fmt.Errorf("%w in %.2000s", err, a)
	}
	y, err := jsontree.Parse(b)
	if err != nil {
		return fmt.Errorf("%w in %.2000s", err, b)
	}
	return compareValues("", x, y)
}

func compareValues(path string, a, b jsontree.Value) error {
	switch {
	case isEmpty(a) && isEmpty(b):
		return nil
	case a.Kind == jsontree.Object && b.Kind == jsontree.Object:
		return compareMembers(path, normalize(a), normalize(b))
	case a.Kind == jsontree.Array && b.Kind == jsontree.Array && len(a.Items) == len(b.Items):
		for i := range a.Items {
			if err := compareValues(fmt.Sprintf("%s[%d]", path, i), a.Items[i], b.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case a.Kind == jsontree.String && b.Kind == jsontree.String && jsontree.Unquote(a.Text) == jsontree.Unquote(b.Text):
		return nil
	case a.Kind == jsontree.Number && b.Kind == jsontree.Number && sameNumber(a.Text, b.Text):
		return nil
	case a.Kind == b.Kind && a.Kind < jsontree.String && a.Text == b.Text:
		return nil
	}
	return difference(path, a, b)
}

func sameNumber(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

func compareMembers(path string, a, b jsontree.Value) error {
	names := make(map[string]bool)
	for _, m := range slices.Concat(a.Members, b.Members) {
		name := jsontree.Unquote(m.Name)
		if names[name] {
			continue
		}
		names[name] = true
		x, _ := a.Find(name) // The zero value is null.
		y, _ := b.Find(name)
		compare := compareValues
		if isSchema(name, x) && isSchema(name, y) {
			compare = compareSchemas
		}
		if err := compare(path+"."+name, x, y); err != nil {
			return err
		}
	}
	return nil
}

// isSchema reports whether a member is a JSON Schema.
func isSchema(name string, v jsontree.Value) bool {
	return (name == "parameters" || name == "schema") && v.Kind == jsontree.Object
}

// compareSchemas also compares the order of members, empty values and the format of
// numbers.
func compareSchemas(path string, a, b jsontree.Value) error {
	switch {
	case a.Kind == jsontree.Object && b.Kind == jsontree.Object && len(a.Members) == len(b.Members):
		for i, m := range a.Members {
			name, other := jsontree.Unquote(m.Name), jsontree.Unquote(b.Members[i].Name)
			if name != other {
				return fmt.Errorf("%s: members %q and %q are at the same position", path, name, other)
			}
			if err := compareSchemas(path+"."+name, m.Value, b.Members[i].Value); err != nil {
				return err
			}
		}
		return nil
	case a.Kind == jsontree.Array && b.Kind == jsontree.Array && len(a.Items) == len(b.Items):
		for i := range a.Items {
			if err := compareSchemas(fmt.Sprintf("%s[%d]", path, i), a.Items[i], b.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case a.Kind == jsontree.String && b.Kind == jsontree.String:
		return compareValues(path, a, b)
	case a.Kind < jsontree.String && a.Text == b.Text:
		return nil
	}
	return difference(path, a, b)
}

func difference(path string, a, b jsontree.Value) error {
	return fmt.Errorf("%s: %.300s and %.300s differ", path, a.Append(nil, nil), b.Append(nil, nil))
}

func isEmpty(v jsontree.Value) bool {
	switch v.Kind {
	case jsontree.Null:
		return true
	case jsontree.Array:
		return len(v.Items) == 0
	case jsontree.Object:
		return len(v.Members) == 0
	default:
		return false
	}
}

// normalize converts members with two equivalent forms to one of them.
func normalize(v jsontree.Value) jsontree.Value {
	if stop, _ := v.Find("stop"); stop.Kind == jsontree.String {
		v = with(v, "stop", jsontree.Value{Kind: jsontree.Array, Items: []jsontree.Value{stop}})
	}
	if content, _ := v.Find("content"); content.Kind == jsontree.Array {
		if parts, _ := v.Find("content_parts"); isEmpty(parts) {
			v = with(without(v, "content"), "content_parts", content)
		}
	}
	return v
}

func TestCompareJSON_FindsDifferences(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, a, b string
		equal      bool
	}{
		{"members in a different order", `{"a":1,"b":[{"c":2,"d":3}]}`, ` {"b":[{"d":3,"c":2}],"a":1}`, true},
		{"null, absent and empty values", `{"a":null,"b":[],"c":{}}`, `{"d":{},"e":[]}`, true},
		{"a string with different escapes", `"a/é"`, `"\u0061\/\u00e9"`, true},
		{"a single stop sequence and an array", `{"stop":"x"}`, `{"stop":["x"]}`, true},
		{"an array in content and in content_parts", `{"content":[1]}`, `{"content":null,"content_parts":[1]}`, true},
		{"a number in a different format", `[1e-6]`, `[0.000001]`, true},
		{"different numbers with the same float64", `[9007199254740993]`, `[9007199254740992]`, false},
		{"an empty and an absent string", `{"a":""}`, `{}`, false},
		{"zero and an absent number", `{}`, `{"a":0}`, false},
		{"false and an absent bool", `{}`, `{"a":false}`, false},
		{"items in a different order", `[1,2]`, `[2,1]`, false},
		{"fewer items", `[1,2]`, `[1]`, false},
		{"a different string", `{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, false},
		{"a different type", `{"a":"1"}`, `{"a":1}`, false},
		{"two stop sequences and one", `{"stop":["x","y"]}`, `{"stop":"x"}`, false},
		{"schema members in a different order", `{"parameters":{"a":1,"b":2}}`, `{"parameters":{"b":2,"a":1}}`, false},
		{"a number in a schema in a different format", `{"schema":{"a":1e-6}}`, `{"schema":{"a":0.000001}}`, false},
		{"null and an absent member in a schema", `{"schema":{"a":null}}`, `{"schema":{}}`, false},
		{"invalid JSON", `{`, `{}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{compareJSON([]byte(row.a), []byte(row.b)), compareJSON([]byte(row.b), []byte(row.a))} {
				if (err == nil) != row.equal {
					t.Errorf("got error %v, want equal: %t", err, row.equal)
				}
			}
		})
	}
}
