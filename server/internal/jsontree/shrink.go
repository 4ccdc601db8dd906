package jsontree

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// Shrink returns a smaller value by removing and simplifying parts of v, one at a time,
// while fails returns true. It stops after this number of tries.
func Shrink(v Value, tries int, fails func(Value) bool) Value {
	s := shrinker{fails: fails, tries: tries}
	for s.progress = true; s.progress && s.tries > 0; {
		s.progress = false
		v = s.shrink(v, func(part Value) Value { return part })
	}
	return v
}

type shrinker struct {
	fails    func(Value) bool
	tries    int
	progress bool
}

// try reports whether the whole still fails.
func (s *shrinker) try(whole Value) bool {
	if s.tries <= 0 {
		return false
	}
	s.tries--
	if !s.fails(whole) {
		return false
	}
	s.progress = true
	return true
}

// shrink makes a part smaller. Within returns the complete value with another part in
// its place.
func (s *shrinker) shrink(v Value, within func(Value) Value) Value {
	if simple := simplest(v.Kind); simple.Text != v.Text && s.try(within(simple)) {
		return simple
	}
	switch v.Kind {
	case Array:
		items := s.list(v.Items, func(items []Value) Value { return within(Value{Kind: Array, Items: items}) })
		for i := range items {
			items[i] = s.shrink(items[i], func(item Value) Value {
				return within(Value{Kind: Array, Items: replaced(items, i, item)})
			})
		}
		return Value{Kind: Array, Items: items}
	case Object:
		members := shrinkList(s, v.Members, func(members []Member) Value { return within(Value{Kind: Object, Members: members}) })
		for i := range members {
			name := members[i].Name
			members[i].Value = s.shrink(members[i].Value, func(value Value) Value {
				return within(Value{Kind: Object, Members: replaced(members, i, Member{Name: name, Value: value})})
			})
		}
		return Value{Kind: Object, Members: members}
	case String:
		return s.shrinkString(v, within)
	default:
		return v
	}
}

func (s *shrinker) list(items []Value, within func([]Value) Value) []Value {
	return shrinkList(s, items, within)
}

// shrinkList removes runs of items: long ones first, then single ones.
func shrinkList[T any](s *shrinker, list []T, within func([]T) Value) []T {
	list = slices.Clone(list)
	for size := max(1, len(list)/2); size > 0; size /= 2 {
		for i := 0; i+size <= len(list); {
			shorter := slices.Delete(slices.Clone(list), i, i+size)
			if s.try(within(shorter)) {
				list = shorter
			} else {
				i += size
			}
		}
	}
	return list
}

// shrinkString removes characters of a string and simplifies its spelling.
func (s *shrinker) shrinkString(v Value, within func(Value) Value) Value {
	meant := Unquote(v.Text)
	if plain := Scalar(String, Quote(meant)); Unquote(plain.Text) == meant && plain.Text != v.Text && s.try(within(plain)) {
		v = plain
	}
	units := characters(v.Text[1 : len(v.Text)-1])
	units = shrinkList(s, units, func(units []string) Value { return within(Scalar(String, join(units))) })
	return Scalar(String, join(units))
}

// characters splits the inside of a string as written. It keeps surrogate pairs
// together.
func characters(inside string) []string {
	var units []string
	for len(inside) > 0 {
		size := 1
		switch {
		case inside[0] != '\\':
			for size < len(inside) && inside[size]&0xC0 == 0x80 {
				size++
			}
		case inside[1] == 'u' && utf16.IsSurrogate(codeUnit(inside[2:])) && strings.HasPrefix(inside[6:], `\u`) &&
			utf16.IsSurrogate(codeUnit(inside[8:])):
			size = 12
		case inside[1] == 'u':
			size = 6
		default:
			size = 2
		}
		units = append(units, inside[:size])
		inside = inside[size:]
	}
	return units
}

func join(units []string) string {
	text := []byte{'"'}
	for _, unit := range units {
		text = append(text, unit...)
	}
	return string(append(text, '"'))
}

func replaced[T any](list []T, i int, item T) []T {
	list = slices.Clone(list)
	list[i] = item
	return list
}

// simplest returns the simplest value of a kind.
func simplest(kind Kind) Value {
	text := [...]string{Null: "null", Bool: "false", Number: "0", String: `""`, Array: "[]", Object: "{}"}
	return Value{Kind: kind, Text: text[kind]}
}
