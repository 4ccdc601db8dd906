// Package jsontree holds JSON as it was written: numbers and strings in their original
// spelling, and members in order, including duplicates. Tests of lossless encoding need
// what other JSON trees drop.
package jsontree

import "slices"

// Kind is the kind of a value.
type Kind byte

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind's name.
func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Value is a JSON value.
type Value struct {
	Kind Kind
	// Text is the value as written, or "" for an array or object that was not parsed.
	Text string
	// Items are the items of an array.
	Items []Value
	// Members are the members of an object.
	Members []Member
}

// Member is a member of an object.
type Member struct {
	// Name is the name as written, with its quotes.
	Name string
	// Value is the value.
	Value Value
	// Text is the member as written, from its name to the end of its value, or "" if it
	// was not parsed.
	Text string
}

// Scalar returns a value that is neither an array nor an object, with this text.
func Scalar(kind Kind, text string) Value { return Value{Kind: kind, Text: text} }

// Find returns the first member with an unquoted name.
func (v Value) Find(name string) (Value, bool) {
	i := slices.IndexFunc(v.Members, func(m Member) bool { return Unquote(m.Name) == name })
	if i < 0 {
		return Value{}, false
	}
	return v.Members[i].Value, true
}

// Append appends the value as JSON. The function space returns the white space between
// two tokens; nil writes none.
func (v Value) Append(b []byte, space func() string) []byte {
	if space == nil {
		space = func() string { return "" }
	}
	switch v.Kind {
	case Array:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, space()...)
			b = item.Append(b, space)
			b = append(b, space()...)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, member := range v.Members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, space()...)
			b = append(b, member.Name...)
			b = append(b, space()...)
			b = append(b, ':')
			b = append(b, space()...)
			b = member.Value.Append(b, space)
			b = append(b, space()...)
		}
		return append(b, '}')
	default:
		return append(b, v.Text...)
	}
}
