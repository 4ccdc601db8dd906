package restjson

import (
	"bytes"
	"slices"
)

// span is a member's text: from its name to the end of its value.
type span struct{ start, end int }

// Object is a walk over an object's members.
type Object struct {
	seen    Set
	start   int // where the first member begins
	member  int // where the member begins, 0 before the first
	name    int // where its name ends, 0 if that is escaped
	value   int // where its value begins
	spans   int // how many spans belong to the objects around
	depth   int
	tag     span // see [Decoder.Tag]
	doubled Set  // the members that [Decoder.TakeZero] found again
}

// Object enters the object that begins here. It reports false where none does.
func (d *Decoder) Object(o *Object) bool {
	if d.peek() != '{' {
		return false
	}
	d.pos++
	d.enter()
	o.start = d.pos
	o.depth = d.depth
	o.spans = len(d.spans)
	return true
}

// Next stands the decoder before the value of the next member. It reports false
// at the end, which it moves past, and after an error.
func (d *Decoder) Next(o *Object) bool {
	if d.err != "" {
		return false
	}
	data, i := d.data, spaceEnd(d.data, d.pos)
	switch c := at(data, i); {
	case c == '}':
		d.pos = i + 1
		d.depth--
		return false
	case o.member == 0: // It is the first one.
	case c == ',':
		i = spaceEnd(data, i+1)
	default:
		d.pos = i
		d.fail("a comma or the end of the object was expected")
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

// name moves past the name and the colon of the member that begins here. It
// reports false if they are malformed.
func (d *Decoder) name(o *Object) bool {
	data, i := d.data, o.member
	if at(data, i) != '"' {
		d.pos = i
		d.fail("a string was expected")
		return false
	}
	end, plain := closing(data, i+1)
	if end < 0 {
		d.unclosed(^end)
		return false
	}
	o.name = end
	if !plain && !d.checkName(o, data[i+1:end], end+1) {
		return false
	}
	colon := spaceEnd(data, end+1)
	if at(data, colon) != ':' {
		d.pos = colon
		d.fail("a colon was expected")
		return false
	}
	d.pos = spaceEnd(data, colon+1)
	if plain && colon == end+1 {
		d.order.learn(data[i : colon+1])
	}
	return true
}

// checkName checks a member's name that isn't plain, and ends at pos. It
// reports false if it is malformed.
func (d *Decoder) checkName(o *Object, raw []byte, pos int) bool {
	d.pos = pos
	d.checkString(raw)
	if bytes.IndexByte(raw, '\\') >= 0 {
		o.name = 0
	}
	return d.err == ""
}

// Key is the name of the member whose value the decoder stands before. Nil
// where the name has a lone surrogate.
func (d *Decoder) Key(o *Object) []byte {
	if o.name > 0 {
		return d.data[o.member+1 : o.name]
	}
	return d.escapedKey(o)
}

func (d *Decoder) escapedKey(o *Object) []byte {
	start := o.member + 1
	end, _ := closing(d.data, start)
	key, ok := unescape(d.data[start:end])
	if !ok {
		return nil
	}
	return []byte(key)
}

// Take reports whether the known member i comes for the first time. A second
// one of the same name is kept as text.
func (o *Object) Take(i int) bool {
	if o.seen.Has(i) {
		return false
	}
	o.seen.add(i)
	return true
}

// TakeZero is Take for a member whose field can't show that it came, when it is
// zero. If a second one comes, the first is then kept as text beside it:
// `{"index":0,"index":1}` has both, and neither is lost when it is written.
func (d *Decoder) TakeZero(o *Object, i int, zero bool) bool {
	return o.Take(i) || d.again(o, i, zero)
}

// again refuses a member that comes again.
func (d *Decoder) again(o *Object, i int, zero bool) bool {
	if zero && !o.doubled.Has(i) {
		o.doubled.add(i)
		d.spillFirst(o)
	}
	return false
}

// spillFirst keeps the text of the object's first member of the current name,
// unless it was kept when it came.
func (d *Decoder) spillFirst(o *Object) {
	ahead := *d
	ahead.pos = o.start
	walk := Object{depth: o.depth}
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

// insert keeps a member's text in its place among the object's spilled members.
func (d *Decoder) insert(o *Object, s span) {
	if d.err != "" {
		return
	}
	at := len(d.spans)
	for at > o.spans && d.spans[at-1].start > s.start {
		at--
	}
	d.spans = slices.Insert(d.spans, at, s)
}

// HasString reports whether the object's member number i, wherever it stands,
// is a string that a field can hold. If it came before, set says so.
func (d *Decoder) HasString(o *Object, i int, name string, set bool) bool {
	if o.seen.Has(i) {
		return set
	}
	ahead, walk := *d, *o
	ahead.skip()
	for ahead.Next(&walk) {
		if string(ahead.Key(&walk)) == name {
			_, ok := ahead.text()
			return ok
		}
		ahead.skip()
	}
	return false
}

// Spill keeps the text of the current member, for [Decoder.Extra].
func (d *Decoder) Spill(o *Object) {
	if d.err != "" {
		return
	}
	d.pos = o.value
	d.depth = o.depth
	d.skip()
	d.spans = append(d.spans, span{o.member, d.pos})
}

// Extra ends an object and returns the members that were spilled from it, in
// their order, as the text of an object. Empty when there were none.
func (d *Decoder) Extra(o *Object) string {
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
		text = d.appendKept(text, s.start, s.end)
	}
	d.spans = d.spans[:o.spans]
	return string(append(text, '}'))
}
