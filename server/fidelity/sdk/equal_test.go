package sdk_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// equal returns where two texts differ as JSON. It parses with neither the codec
// nor the SDK. These are one, and nothing else is:
//
//   - null, an empty list or object, and an absent member;
//   - the orders of an object's members;
//   - the forms of a string;
//   - one text to stop at, and a list of it;
//   - a message's list by the name content, and by the name content_parts.
//
// Numbers are compared by their decimal value, exactly: a double may be written
// as 1e-6 and as 0.000001. A JSON Schema has to be the same in every respect but
// the forms of its strings, as models write in its order.
func equal(a, b []byte) error {
	x, err := jsontree.Parse(a)
	if err != nil {
		return fmt.Errorf("%w in %.2000s", err, a)
	}
	y, err := jsontree.Parse(b)
	if err != nil {
		return fmt.Errorf("%w in %.2000s", err, b)
	}
	return sameValue("", x, y)
}

func sameValue(path string, a, b jsontree.Value) error {
	switch {
	case isEmpty(a) && isEmpty(b):
		return nil
	case a.Kind == jsontree.Object && b.Kind == jsontree.Object:
		return sameMembers(path, settled(a), settled(b))
	case a.Kind == jsontree.Array && b.Kind == jsontree.Array && len(a.Items) == len(b.Items):
		for i := range a.Items {
			if err := sameValue(fmt.Sprintf("%s[%d]", path, i), a.Items[i], b.Items[i]); err != nil {
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
	return different(path, a, b)
}

func sameNumber(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

func sameMembers(path string, a, b jsontree.Value) error {
	names := make(map[string]bool)
	for _, m := range slices.Concat(a.Members, b.Members) {
		name := jsontree.Unquote(m.Name)
		if names[name] {
			continue
		}
		names[name] = true
		x, _ := a.Find(name) // Absent, it is null.
		y, _ := b.Find(name)
		compare := sameValue
		if isSchema(name, x) && isSchema(name, y) {
			compare = sameSchema
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

// sameSchema compares the order of members too, what is empty, and the form of
// numbers.
func sameSchema(path string, a, b jsontree.Value) error {
	switch {
	case a.Kind == jsontree.Object && b.Kind == jsontree.Object && len(a.Members) == len(b.Members):
		for i, m := range a.Members {
			name, other := jsontree.Unquote(m.Name), jsontree.Unquote(b.Members[i].Name)
			if name != other {
				return fmt.Errorf("%s: the members %q and %q stand at one place", path, name, other)
			}
			if err := sameSchema(path+"."+name, m.Value, b.Members[i].Value); err != nil {
				return err
			}
		}
		return nil
	case a.Kind == jsontree.Array && b.Kind == jsontree.Array && len(a.Items) == len(b.Items):
		for i := range a.Items {
			if err := sameSchema(fmt.Sprintf("%s[%d]", path, i), a.Items[i], b.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case a.Kind == jsontree.String && b.Kind == jsontree.String:
		return sameValue(path, a, b)
	case a.Kind < jsontree.String && a.Text == b.Text:
		return nil
	}
	return different(path, a, b)
}

func different(path string, a, b jsontree.Value) error {
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

// settled gives what may take two forms the one.
func settled(v jsontree.Value) jsontree.Value {
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

func TestEqual_ComparesJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, a, b string
		equal      bool
	}{
		{"another order of members", `{"a":1,"b":[{"c":2,"d":3}]}`, ` {"b":[{"d":3,"c":2}],"a":1}`, true},
		{"null, absent, and empty", `{"a":null,"b":[],"c":{}}`, `{"d":{},"e":[]}`, true},
		{"a string in another form", `"a/é"`, `"\u0061\/\u00e9"`, true},
		{"one stop, and a list", `{"stop":"x"}`, `{"stop":["x"]}`, true},
		{"a list by its two names", `{"content":[1]}`, `{"content":null,"content_parts":[1]}`, true},
		{"a number in another form", `[1e-6]`, `[0.000001]`, true},
		{"numbers that are one double", `[9007199254740993]`, `[9007199254740992]`, false},
		{"an empty string, and none", `{"a":""}`, `{}`, false},
		{"zero, and none", `{}`, `{"a":0}`, false},
		{"false, and none", `{}`, `{"a":false}`, false},
		{"another order of items", `[1,2]`, `[2,1]`, false},
		{"fewer items", `[1,2]`, `[1]`, false},
		{"another text", `{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, false},
		{"another type", `{"a":"1"}`, `{"a":1}`, false},
		{"two stops, and one", `{"stop":["x","y"]}`, `{"stop":"x"}`, false},
		{"another order in a schema", `{"parameters":{"a":1,"b":2}}`, `{"parameters":{"b":2,"a":1}}`, false},
		{"a number in another form in a schema", `{"schema":{"a":1e-6}}`, `{"schema":{"a":0.000001}}`, false},
		{"null in a schema, and none", `{"schema":{"a":null}}`, `{"schema":{}}`, false},
		{"no JSON", `{`, `{}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{equal([]byte(row.a), []byte(row.b)), equal([]byte(row.b), []byte(row.a))} {
				if (err == nil) != row.equal {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
