package restjson

import (
	"iter"
	"slices"
	"strings"
)

// Set is a set of an object's defined members, by number.
type Set [2]uint64

// MaxMembers is the maximum number of members of a message.
const MaxMembers = len(Set{}) * 64

// Has reports whether member i is in the set.
func (s *Set) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s *Set) add(i int) { s[i/64] |= 1 << (i % 64) }

// extra is a parsed extra_json field.
type extra struct {
	members string // the text between the braces, trimmed
	known   Set    // its members that the message defines
	fixed   Set    // its fixed members, by index
}

const extraField = "extra_json"

// parseExtra parses an extra_json. The function known returns the number of a
// defined member, and -1 for other names. A fixed member with a value that is not
// equivalent is an error.
func parseExtra(text string, known func(string) int, fixed []Constant) (x extra, err error) {
	if text == "" {
		return x, nil
	}
	d := Decoder{data: []byte(text)}
	d.space()
	var o ObjectReader
	if !d.Object(&o) {
		d.fail("expected an object")
	}
	start := d.pos
	for d.Next(&o) {
		name := string(d.Key(&o))
		if i := known(name); i >= 0 {
			x.known.add(i)
		}
		value := d.pos
		d.skip()
		for i, c := range fixed {
			if c.Name != name || d.err != "" {
				continue
			}
			if x.fixed.Has(i) || !c.allows(text[value:d.pos]) {
				return x, &FieldError{extraField, quote(name) + " is set by the RPC: remove it"}
			}
			x.fixed.add(i)
		}
	}
	end := d.pos - 1
	d.space()
	if d.pos < len(d.data) {
		d.fail("unexpected data after the object")
	}
	if d.err != "" {
		return x, invalidJSON(&d, extraField, "the text of one JSON object")
	}
	x.members = strings.Trim(text[start:end], " \t\r\n")
	return x, nil
}

// allows reports whether a value is equal or equivalent to the constant.
func (c Constant) allows(value string) bool {
	return value == c.JSON || slices.Contains(c.Equivalent, value)
}

// invalidJSON returns the error for a field with malformed JSON text.
func invalidJSON(d *Decoder, field, want string) error {
	return &FieldError{field, "must be " + want + ": " + (&SyntaxError{
		Offset: d.errOffset, Path: pathAt(d.data, d.errOffset), Reason: d.err,
	}).Error()}
}

// ExtraHas reports whether an extra_json written by a decoder has a member.
func ExtraHas(text, name string) bool {
	return extraValue(text, name) != ""
}

// ExtraIsMeaningful reports whether an extra_json written by a decoder has a member
// with a meaningful value; see [IsMeaningful].
func ExtraIsMeaningful(text, name string) bool {
	return IsMeaningful(extraValue(text, name))
}

// IsMeaningful reports whether the JSON text of a value is not null, false or an
// empty string, and not a string that means null, such as "null" and "None", which
// some servers send.
func IsMeaningful(value string) bool {
	switch value {
	case "", "null", "false":
		return false
	}
	if value[0] != '"' {
		return true
	}
	d := Decoder{data: []byte(value)}
	s, ok := d.stringBytes()
	if !ok {
		return true
	}
	switch strings.ToLower(strings.TrimSpace(string(s))) {
	case "", "null", "none", "nil", "undefined":
		return false
	default:
		return true
	}
}

// ExtraMembers returns the names and the JSON text of the values in an extra_json
// written by a decoder.
func ExtraMembers(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if text == "" {
			return
		}
		d := Decoder{data: []byte(text)}
		var o ObjectReader
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

// extraValue returns the JSON text of a member's value, or an empty string if the
// member is missing.
func extraValue(text, name string) string {
	for member, value := range ExtraMembers(text) {
		if member == name {
			return value
		}
	}
	return ""
}
