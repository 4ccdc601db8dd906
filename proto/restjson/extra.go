package restjson

import (
	"iter"
	"slices"
	"strings"
)

// Set is a set of an object's known members, by number.
type Set [2]uint64

// MaxMembers is how many members a message may have.
const MaxMembers = len(Set{}) * 64

// Has reports whether member i is in the set.
func (s *Set) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s *Set) add(i int) { s[i/64] |= 1 << (i % 64) }

// extra is an extra_json field, read.
type extra struct {
	members string // what stands between its braces, trimmed
	known   Set    // the members that the message knows too
	decided Set    // the decided members, by their place, that it has as decided
}

const extraField = "extra_json"

// parseExtra reads an extra_json. The function known returns the number of a
// member that the message knows, and -1 for others. The decided members are
// refused, unless they have a value that means what was decided.
func parseExtra(text string, known func(string) int, decided []Constant) (x extra, err error) {
	if text == "" {
		return x, nil
	}
	d := Decoder{data: []byte(text)}
	d.space()
	var o Object
	if !d.Object(&o) {
		d.fail("an object was expected")
	}
	start := d.pos
	for d.Next(&o) {
		name := string(d.Key(&o))
		if i := known(name); i >= 0 {
			x.known.add(i)
		}
		value := d.pos
		d.skip()
		for i, c := range decided {
			if c.Name != name || d.err != "" {
				continue
			}
			if x.decided.Has(i) || !c.allows(text[value:d.pos]) {
				return x, &FieldError{extraField, quote(name) + " is decided by the RPC: leave it out"}
			}
			x.decided.add(i)
		}
	}
	end := d.pos - 1
	d.space()
	if d.pos < len(d.data) {
		d.fail("the object has ended, and more follows")
	}
	if d.err != "" {
		return x, notJSON(&d, extraField, "the text of one JSON object")
	}
	x.members = strings.Trim(text[start:end], " \t\r\n")
	return x, nil
}

// allows reports whether a value means what was decided.
func (c Constant) allows(value string) bool {
	return value == c.JSON || slices.Contains(c.Same, value)
}

// notJSON is the error of a field whose text isn't what it must be.
func notJSON(d *Decoder, field, want string) error {
	return &FieldError{field, "must be " + want + ": " + (&SyntaxError{
		Offset: d.errAt, Path: pathAt(d.data, d.errAt), Reason: d.err,
	}).Error()}
}

// ExtraHas reports whether an extra_json that a decoder wrote has a member.
func ExtraHas(text, name string) bool {
	return extraValue(text, name) != ""
}

// ExtraSays reports whether an extra_json that a decoder wrote has a member
// which says something; see [Says].
func ExtraSays(text, name string) bool {
	return Says(extraValue(text, name))
}

// Says reports whether the JSON text of a value says something. Null, false and an
// empty string don't, and neither do the words for nothing that careless servers
// send as text, such as "null" and "None".
func Says(value string) bool {
	switch value {
	case "", "null", "false":
		return false
	}
	if value[0] != '"' {
		return true
	}
	d := Decoder{data: []byte(value)}
	said, ok := d.text()
	if !ok {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(string(said))) {
	case "", "null", "none", "nil", "undefined":
		return false
	default:
		return true
	}
}

// ExtraMembers returns the names of an extra_json that a decoder wrote, and the
// JSON text of their values.
func ExtraMembers(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if text == "" {
			return
		}
		d := Decoder{data: []byte(text)}
		var o Object
		d.Object(&o)
		for d.Next(&o) {
			start := d.pos
			d.skip()
			if !yield(string(d.Key(&o)), text[start:d.pos]) {
				return
			}
		}
	}
}

// extraValue is the JSON text of a member's value, and empty without the member.
func extraValue(text, name string) string {
	for member, value := range ExtraMembers(text) {
		if member == name {
			return value
		}
	}
	return ""
}
