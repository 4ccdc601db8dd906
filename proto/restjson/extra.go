package restjson

import "strings"

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
}

const extraField = "extra_json"

// parseExtra reads an extra_json. The function known returns the number of a
// member that the message knows, and -1 for others. The decided members are
// refused.
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
		for _, c := range decided {
			if c.Name == name {
				return x, &FieldError{extraField, quote(name) + " is decided by the RPC: leave it out"}
			}
		}
		if i := known(name); i >= 0 {
			x.known.add(i)
		}
		d.skip()
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
// which says something: null and an empty string don't.
func ExtraSays(text, name string) bool {
	switch extraValue(text, name) {
	case "", "null", `""`:
		return false
	default:
		return true
	}
}

// extraValue is the JSON text of a member's value, and empty without the member.
func extraValue(text, name string) string {
	if text == "" {
		return ""
	}
	d := Decoder{data: []byte(text)}
	var o Object
	d.Object(&o)
	for d.Next(&o) {
		start := d.pos
		d.skip()
		if string(d.Key(&o)) == name {
			return text[start:d.pos]
		}
	}
	return ""
}
