package restjson

import (
	"bytes"
	"slices"
)

// span locates the text of a member, from its name to the end of its value.
type span struct{ start, end int }

// ObjectReader holds the state of reading an object. Its offsets are relative to Decoder.data.
type ObjectReader struct {
	seen     Set
	start    int // where the first member begins
	member   int // where the current member begins, 0 before the first
	name     int // where its name ends, 0 if the name is escaped
	value    int // where its value begins
	spans    int // number of spans of the enclosing objects
	depth    int
	tag      span // see [Decoder.Tag]
	repeated Set  // the repeated members found by [Decoder.TakeZero]
}

// Object begins to read an object. It returns false if the value is not an object.
func (d *Decoder) Object(o *ObjectReader) bool {
	if d.peek() != '{' {
		return false
	}
	d.pos++
	d.pushDepth()
	o.start = d.pos
	o.depth = d.depth
	o.spans = len(d.spans)
	return true
}

// Next advances to the value of the next member. It returns false at the end of the
// object, whose closing brace it consumes, and after an error.
func (d *Decoder) Next(o *ObjectReader) bool {
	if d.err != "" {
		return false
	}
	data, i := d.data, spaceEnd(d.data, d.pos)
	switch c := byteAt(data, i); {
	case c == '}':
		d.pos = i + 1
		d.depth--
		return false
	case o.member == 0: // the first member
	case c == ',':
		i = spaceEnd(data, i+1)
	default:
		d.pos = i
		d.fail("expected a comma or the end of the object")
		return false
	}
	o.member = i
	if size := d.order.expected(data, i); size > 0 {
		o.name = i + size - len(`":`)
		d.pos = spaceEnd(data, i+size)
	} else if !d.name(o) {
		return false
	}
	o.value = d.pos
	return true
}

// name consumes the name of a member and the colon. It returns false if they are
// malformed.
func (d *Decoder) name(o *ObjectReader) bool {
	data, i := d.data, o.member
	if byteAt(data, i) != '"' {
		d.pos = i
		d.fail("expected a string")
		return false
	}
	end, plain := closingQuote(data, i+1)
	if end < 0 {
		d.failString(^end)
		return false
	}
	o.name = end
	if !plain && !d.checkName(o, data[i+1:end], end+1) {
		return false
	}
	colon := spaceEnd(data, end+1)
	if byteAt(data, colon) != ':' {
		d.pos = colon
		d.fail("expected a colon")
		return false
	}
	d.pos = spaceEnd(data, colon+1)
	if plain && colon == end+1 {
		d.order.learn(data[i : colon+1])
	}
	return true
}

// checkName validates the name of a member that ends at pos and is not plain
// ASCII. It returns false if the name is malformed.
func (d *Decoder) checkName(o *ObjectReader, raw []byte, pos int) bool {
	d.pos = pos
	d.checkString(raw)
	if bytes.IndexByte(raw, '\\') >= 0 {
		o.name = 0
	}
	return d.err == ""
}

// Key returns the name of the current member, or nil if it has a lone surrogate.
func (d *Decoder) Key(o *ObjectReader) []byte {
	if o.name > 0 {
		return d.data[o.member+1 : o.name]
	}
	return d.escapedKey(o)
}

func (d *Decoder) escapedKey(o *ObjectReader) []byte {
	start := o.member + 1
	end, _ := closingQuote(d.data, start)
	key, ok := unescape(d.data[start:end])
	if !ok {
		return nil
	}
	return []byte(key)
}

// Take marks member number i as seen. It returns false if it already was: the caller
// must then spill the repeated member.
func (o *ObjectReader) Take(i int) bool {
	if o.seen.Has(i) {
		return false
	}
	o.seen.add(i)
	return true
}

// TakeZero is [ObjectReader.Take] for a member whose field has no presence. If the
// field is zero when the member repeats, the first member is spilled too. So
// neither member of `{"index":0,"index":1}` is lost when the message is written.
func (d *Decoder) TakeZero(o *ObjectReader, i int, zero bool) bool {
	return o.Take(i) || d.rejectRepeated(o, i, zero)
}

// rejectRepeated returns false, after spilling the first member if it is zero.
func (d *Decoder) rejectRepeated(o *ObjectReader, i int, zero bool) bool {
	if zero && !o.repeated.Has(i) {
		o.repeated.add(i)
		d.spillFirst(o)
	}
	return false
}

// spillFirst spills the object's first member with the current name, unless it
// already is spilled.
func (d *Decoder) spillFirst(o *ObjectReader) {
	ahead := *d
	ahead.pos = o.start
	walk := ObjectReader{depth: o.depth}
	for ahead.Next(&walk) && walk.member < o.member {
		ahead.skip()
		if !bytes.Equal(ahead.Key(&walk), d.Key(o)) {
			continue
		}
		first := span{walk.member, ahead.pos}
		if !slices.Contains(d.spans[o.spans:], first) {
			d.insert(o, first)
		}
		return
	}
}

// insert adds a span to the object's spilled members, in order.
func (d *Decoder) insert(o *ObjectReader, s span) {
	if d.err != "" {
		return
	}
	at := len(d.spans)
	for at > o.spans && d.spans[at-1].start > s.start {
		at--
	}
	d.spans = slices.Insert(d.spans, at, s)
}

// HasString reports whether member number i, which may not have been read yet, is a
// string that a field can hold. If the member has been read, HasString returns set.
func (d *Decoder) HasString(o *ObjectReader, i int, name string, set bool) bool {
	if o.seen.Has(i) {
		return set
	}
	ahead, walk := *d, *o
	ahead.skip()
	for ahead.Next(&walk) {
		if string(ahead.Key(&walk)) == name {
			_, ok := ahead.stringBytes()
			return ok
		}
		ahead.skip()
	}
	return false
}

// Spill skips the current member and keeps its text for [Decoder.Extra].
func (d *Decoder) Spill(o *ObjectReader) {
	if d.err != "" {
		return
	}
	d.pos = o.value
	d.depth = o.depth
	d.skip()
	d.spans = append(d.spans, span{o.member, d.pos})
}

// Extra returns the spilled members of an object in order, as the text of an
// object. It returns "" if there are none.
func (d *Decoder) Extra(o *ObjectReader) string {
	spans := d.spans[o.spans:]
	if len(spans) == 0 || d.err != "" {
		return ""
	}
	size := 1
	for _, s := range spans {
		size += s.end - s.start + 1
	}
	text := make([]byte, 0, size)
	for i, s := range spans {
		text = append(text, "{,"[min(i, 1)])
		text = d.appendJSONText(text, s.start, s.end)
	}
	d.spans = d.spans[:o.spans]
	return string(append(text, '}'))
}
