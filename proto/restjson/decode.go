package restjson

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Decoder reads JSON in one pass. The generated code asks it for the value of
// the kind that a field takes.
//
// Every such method reports whether the value is of that kind. If it is, the
// decoder stands behind it, and null counts as an absent member: the field
// stays as it was. If it isn't, the decoder may stand anywhere within; the
// caller then calls [Decoder.Spill] or passes the report on. After malformed
// JSON, which [Unmarshal] reports, the answers don't matter.
type Decoder struct {
	data  []byte
	pos   int
	depth int
	spans []span // the members to keep as text, of all objects that are open

	err   string
	errAt int
}

// span is a member's text: from its name to the end of its value.
type span struct{ start, end int }

// Object is a walk over an object's members.
type Object struct {
	// Key is the name of the member whose value the decoder stands before. Nil
	// where the name has a lone surrogate.
	Key []byte

	seen    Set
	start   int // where the first member begins
	member  int // where the member begins
	value   int // where its value begins
	spans   int // how many spans belong to the objects around
	depth   int
	tag     span // see [Decoder.Tag]
	doubled Set  // the members that [Decoder.TakeZero] found again
	started bool
}

// Object enters the object that begins here. It reports false where none does.
func (d *Decoder) Object() (o Object, ok bool) {
	if d.peek() != '{' {
		return o, false
	}
	d.pos++
	d.enter()
	o.start = d.pos
	o.depth = d.depth
	o.spans = len(d.spans)
	return o, true
}

// Next stands the decoder before the value of the next member. It reports false
// at the end, which it moves past, and after an error.
func (d *Decoder) Next(o *Object) bool {
	if d.err != "" {
		return false
	}
	d.space()
	switch c := d.peek(); {
	case c == '}':
		d.pos++
		d.depth--
		return false
	case !o.started:
		o.started = true
	case c == ',':
		d.pos++
		d.space()
	default:
		d.fail("a comma or the end of the object was expected")
		return false
	}
	o.member = d.pos
	raw, plain := d.scanString()
	if !plain {
		d.checkString(raw)
		// A name with a lone surrogate is no name that a field can have.
		if d.err == "" && bytes.IndexByte(raw, '\\') >= 0 {
			raw, _ = unescape(nil, raw)
		}
	}
	o.Key = raw
	d.space()
	if d.peek() != ':' {
		d.fail("a colon was expected")
		return false
	}
	d.pos++
	d.space()
	o.value = d.pos
	return d.err == ""
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
	if o.Take(i) {
		return true
	}
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
		if !bytes.Equal(walk.Key, o.Key) {
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
		if string(walk.Key) == name {
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
		text = append(text, d.data[s.start:s.end]...)
	}
	d.spans = d.spans[:o.spans]
	return string(append(text, '}'))
}

// Null moves past a null, and reports whether there was one.
func (d *Decoder) Null() bool {
	if d.peek() != 'n' {
		return false
	}
	d.literal("null")
	return true
}

// AtList reports whether the value is an array, without moving.
func (d *Decoder) AtList() bool { return d.peek() == '[' }

// text reads a string. It reports false for other values, and for strings with
// a lone surrogate, which Protobuf cannot hold. The result is valid until the
// input changes.
func (d *Decoder) text() ([]byte, bool) {
	if d.peek() != '"' {
		return nil, false
	}
	raw, plain := d.scanString()
	if plain {
		return raw, d.err == ""
	}
	if d.checkString(raw); d.err != "" {
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	return unescape(make([]byte, 0, len(raw)), raw)
}

// String reads a string.
func (d *Decoder) String(dst *string) bool {
	if d.Null() {
		return true
	}
	text, ok := d.text()
	if ok {
		*dst = string(text)
	}
	return ok
}

// Bool reads true or false.
func (d *Decoder) Bool(dst *bool) bool {
	switch d.peek() {
	case 't':
		d.literal("true")
		*dst = true
		return true
	case 'f':
		d.literal("false")
		*dst = false
		return true
	default:
		return d.Null()
	}
}

// Int32 reads an integer without fraction or exponent.
func (d *Decoder) Int32(dst *int32) bool {
	var v int64
	if d.Null() {
		return true
	}
	if !d.integer(&v) || v != int64(int32(v)) {
		return false
	}
	*dst = int32(v)
	return true
}

// Int64 reads an integer without fraction or exponent.
func (d *Decoder) Int64(dst *int64) bool {
	return d.Null() || d.integer(dst)
}

func (d *Decoder) integer(dst *int64) bool {
	if !d.atNumber() {
		return false
	}
	text := d.scanNumber()
	v, err := strconv.ParseInt(string(text), 10, 64)
	// -0 is an integer that no integer type keeps.
	if err != nil || string(text) == "-0" {
		return false
	}
	*dst = v
	return true
}

func (d *Decoder) atNumber() bool {
	c := d.peek()
	return c == '-' || '0' <= c && c <= '9'
}

// Double reads a number as the nearest double. One beyond the range of doubles
// does not fit.
func (d *Decoder) Double(dst *float64) bool {
	if d.Null() {
		return true
	}
	if !d.atNumber() {
		return false
	}
	text := d.scanNumber()
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return false
	}
	*dst = v
	return true
}

// Bytes reads a string of standard base64, padded, in its one canonical form.
func (d *Decoder) Bytes(dst *[]byte) bool {
	if d.Null() {
		return true
	}
	text, ok := d.text()
	if !ok {
		return false
	}
	// The decoder skips line ends, which would not come back.
	if bytes.ContainsAny(text, "\r\n") {
		return false
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(data, text)
	if err != nil {
		return false
	}
	*dst = data[:n]
	return true
}

// Octets reads an array of integers from 0 to 255.
func (d *Decoder) Octets(dst *[]byte) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	octets := make([]byte, 0, 8)
	var a array
	d.open(&a)
	for d.elem(&a) {
		var v int64
		if !d.integer(&v) || v != int64(byte(v)) {
			return false
		}
		octets = append(octets, byte(v))
	}
	*dst = octets
	return true
}

// Time reads an integer of Unix seconds, within the years 1 to 9999.
func (d *Decoder) Time(dst **timestamppb.Timestamp) bool {
	if d.Null() {
		return true
	}
	var seconds int64
	if !d.integer(&seconds) {
		return false
	}
	t := &timestamppb.Timestamp{Seconds: seconds}
	if !t.IsValid() {
		return false
	}
	*dst = t
	return true
}

// JSONObject reads an object as its text.
func (d *Decoder) JSONObject(dst *string) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '{' {
		return false
	}
	start := d.pos
	d.skip()
	if d.err == "" {
		*dst = string(d.data[start:d.pos])
	}
	return true
}

// Constant moves past a value that is written just so.
func (d *Decoder) Constant(text string) bool {
	if d.Null() {
		return true
	}
	start := d.pos
	d.skip()
	return d.err == "" && string(d.data[start:d.pos]) == text
}

// Optional reads a value into a field with presence.
func Optional[T any](d *Decoder, dst **T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	v := new(T)
	if !read(d, v) {
		return false
	}
	*dst = v
	return true
}

// Enum reads a string that parse knows; it returns 0 for others.
func Enum[E ~int32](d *Decoder, dst *E, parse func([]byte) E) bool {
	if d.Null() {
		return true
	}
	text, ok := d.text()
	if !ok {
		return false
	}
	v := parse(text)
	if v == 0 {
		return false
	}
	*dst = v
	return true
}

// Message reads a value that a message stands for.
func Message[T any, M interface {
	*T
	Decodable
}](d *Decoder, dst *M,
) bool {
	if d.Null() {
		return true
	}
	m := M(new(T))
	if !m.DecodeREST(d) {
		return false
	}
	*dst = m
	return true
}

// List reads an array of values that all fit; null doesn't.
func List[T any](d *Decoder, dst *[]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	var list []T
	var a array
	d.open(&a)
	for d.elem(&a) {
		var v T
		if d.peek() == 'n' || !read(d, &v) {
			return false
		}
		list = append(list, v)
	}
	*dst = list
	return true
}

// ListOrSingle reads a list, or one value as a list of one.
func ListOrSingle[T any](d *Decoder, dst *[]T, read func(*Decoder, *T) bool) bool {
	if d.peek() == '[' || d.peek() == 'n' {
		return List(d, dst, read)
	}
	var v T
	if !read(d, &v) {
		return false
	}
	*dst = []T{v}
	return true
}

// Map reads an object of values that all fit; null and a repeated key don't.
func Map[T any](d *Decoder, dst *map[string]T, read func(*Decoder, *T) bool) bool {
	if d.Null() {
		return true
	}
	o, ok := d.Object()
	if !ok {
		return false
	}
	m := make(map[string]T)
	for d.Next(&o) {
		if o.Key == nil || d.peek() == 'n' {
			return false
		}
		key := string(o.Key)
		if _, repeated := m[key]; repeated {
			return false
		}
		var v T
		if !read(d, &v) {
			return false
		}
		m[key] = v
	}
	*dst = m
	return true
}
