// Package jsontree holds JSON as it was written: numbers and strings in their
// own spelling, members in their order, repeated ones too. Tests that prove
// that nothing is lost need what other trees forget.
package jsontree

import "slices"

// Kind is what a value is.
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
	// Text is the value as it was written. An array or object that was not
	// parsed has none.
	Text string
	// Items are the items of an array.
	Items []Value
	// Members are the members of an object.
	Members []Member
}

// Member is a member of an object.
type Member struct {
	// Name is the name as it was written, with its quotes.
	Name string
	// Value is the value.
	Value Value
	// Text is the member as it was written, from its name to the end of its
	// value. A member that was not parsed has none.
	Text string
}

// Scalar returns a value that is neither array nor object, written like this.
func Scalar(kind Kind, text string) Value { return Value{Kind: kind, Text: text} }

// Find returns the first member of a name, which is meant, not written.
func (v Value) Find(name string) (Value, bool) {
	i := slices.IndexFunc(v.Members, func(m Member) bool { return Unquote(m.Name) == name })
	if i < 0 {
		return Value{}, false
	}
	return v.Members[i].Value, true
}

// Append appends the value as JSON. The function space returns the white space
// to write between two tokens; nil writes none.
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
