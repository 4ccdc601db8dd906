package sdk_test

import (
	"slices"
	"strings"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// with returns an object with the member name set to value.
func with(v jsontree.Value, name string, value jsontree.Value) jsontree.Value {
	v.Members = slices.Clone(v.Members)
	for i, m := range v.Members {
		if jsontree.Unquote(m.Name) == name {
			v.Members[i].Value = value
			return v
		}
	}
	v.Members = append(v.Members, jsontree.Member{Name: jsontree.Quote(name), Value: value})
	return v
}

// without returns an object without the named members.
func without(v jsontree.Value, names ...string) jsontree.Value {
	v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m jsontree.Member) bool {
		return slices.Contains(names, jsontree.Unquote(m.Name))
	})
	return v
}

// edited returns an object with change applied to a member, if present.
func edited(v jsontree.Value, name string, change func(jsontree.Value) jsontree.Value) jsontree.Value {
	value, there := v.Find(name)
	if !there {
		return v
	}
	return with(v, name, change(value))
}

// eachItem returns a function that applies change to each item of an array.
func eachItem(change func(int, jsontree.Value) jsontree.Value) func(jsontree.Value) jsontree.Value {
	return func(v jsontree.Value) jsontree.Value {
		v.Items = slices.Clone(v.Items)
		for i, item := range v.Items {
			v.Items[i] = change(i, item)
		}
		return v
	}
}

func stringValue(s string) jsontree.Value { return jsontree.Scalar(jsontree.String, jsontree.Quote(s)) }
func numberValue(s string) jsontree.Value { return jsontree.Scalar(jsontree.Number, s) }

// mustParse parses JSON and panics if it is invalid.
func mustParse(s string) jsontree.Value {
	v, err := jsontree.Parse([]byte(s))
	if err != nil {
		panic(err)
	}
	return v
}

// stringField returns the value of a string member, or "".
func stringField(v jsontree.Value, name string) string {
	if value, _ := v.Find(name); value.Kind == jsontree.String {
		return jsontree.Unquote(value.Text)
	}
	return ""
}

// sorted returns a value with the members of its objects sorted by name.
func sorted(v jsontree.Value) jsontree.Value {
	v = eachItem(func(_ int, item jsontree.Value) jsontree.Value { return sorted(item) })(v)
	v.Members = slices.Clone(v.Members)
	for i := range v.Members {
		v.Members[i].Value = sorted(v.Members[i].Value)
	}
	slices.SortStableFunc(v.Members, func(a, b jsontree.Member) int {
		return strings.Compare(jsontree.Unquote(a.Name), jsontree.Unquote(b.Name))
	})
	return v
}
