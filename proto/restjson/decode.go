package restjson

import (
	"bytes"
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
	data   []byte
	pos    int
	depth  int
	spans  []span // the members to keep as text, of all objects that are open
	before *texts // of the message before in a stream, nil outside of one
	order  *order // of the members of the message before, nil where there was none

	texts   textSlab
	strings slab[string]
	int32s  slab[int32]

	// lenient also takes the numbers that JSON has no way to write: see
	// [Unmarshal]. nonFinite is set once there was one.
	lenient, nonFinite bool

	err   string
	errAt int
}

// maxSpans bounds what a decoder keeps from one message for the next.
const maxSpans = 64

// unmarshal reads all of the data into the message, and forgets them.
func (d *Decoder) unmarshal(data []byte, m Decodable) (err error) {
	d.data, d.pos, d.depth, d.spans, d.err = data, 0, 0, d.spans[:0], ""
	d.lenient, d.nonFinite = true, false
	d.order.next = 0
	d.begin()
	if !m.DecodeREST(d) {
		d.fail("an object was expected")
	}
	d.space()
	if d.err == "" && d.pos < len(d.data) {
		d.fail("the value has ended, and more follows")
	}
	if d.err != "" {
		err = &SyntaxError{Offset: d.errAt, Path: pathAt(data, d.errAt), Reason: d.err}
	}
	d.data = nil
	if cap(d.spans) > maxSpans {
		d.spans = nil
	}
	return err
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

// raw reads a string as what stands between its quotes, which is its value
// unless it is escaped. It reports false for other values, and after an error.
func (d *Decoder) raw() (raw []byte, escaped, ok bool) {
	if d.peek() != '"' {
		return nil, false, false
	}
	start := d.pos + 1
	end, plain := closing(d.data, start)
	if end < 0 {
		d.unclosed(^end)
		return nil, false, false
	}
	d.pos = end + 1
	raw = d.data[start:end]
	if plain {
		return raw, false, true
	}
	d.checkString(raw)
	return raw, bytes.IndexByte(raw, '\\') >= 0, d.err == ""
}

// text reads a string. It reports false for other values, and for strings with
// a lone surrogate, which Protobuf cannot hold. The result is valid until the
// input changes.
func (d *Decoder) text() ([]byte, bool) {
	raw, escaped, ok := d.raw()
	if !ok || !escaped {
		return raw, ok
	}
	text, ok := unescape(raw)
	return []byte(text), ok
}

// String reads a string.
func (d *Decoder) String(dst *string) bool {
	if d.before.repeats(d, dst) {
		return true
	}
	raw, escaped, ok := d.raw()
	if !ok {
		return d.Null()
	}
	if escaped {
		text, ok := unescape(raw)
		if ok {
			*dst = text
		}
		return ok
	}
	*dst = d.texts.text(raw)
	d.before.learn(*dst)
	return true
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
	v, ok := d.integer()
	if !ok {
		return d.Null()
	}
	if v != int64(int32(v)) {
		return false
	}
	*dst = int32(v)
	return true
}

// Int64 reads an integer without fraction or exponent.
func (d *Decoder) Int64(dst *int64) bool {
	v, ok := d.integer()
	if !ok {
		return d.Null()
	}
	*dst = v
	return true
}

// integer reads an integer. If there is none, it does not move.
func (d *Decoder) integer() (v int64, ok bool) {
	start, i := d.pos, d.pos
	c := at(d.data, i)
	for ; '0' <= c && c <= '9'; c = at(d.data, i) {
		v = v*10 + int64(c-'0')
		i++
	}
	// What is more than a few digits is for the careful way.
	if n := i - start; 0 < n && n < 19 && (n == 1 || d.data[start] != '0') && (c == ',' || c == '}' || c == ']') {
		d.pos = i
		return v, true
	}
	return d.anyInteger()
}

// anyInteger reads an integer that may be negative, large, malformed, or none.
func (d *Decoder) anyInteger() (v int64, ok bool) {
	if !d.atNumber() {
		return 0, false
	}
	start := d.pos
	text := d.scanNumber()
	v, err := strconv.ParseInt(string(text), 10, 64)
	// -0 is an integer that no integer type keeps.
	if err != nil || string(text) == "-0" {
		d.pos = start
		return 0, false
	}
	return v, true
}

func (d *Decoder) atNumber() bool {
	c := d.peek()
	return c == '-' || '0' <= c && c <= '9'
}

// Double reads a number as the nearest double. One beyond the range of doubles
// does not fit. NaN and the infinities may stand in quotes.
func (d *Decoder) Double(dst *float64) bool {
	if d.Null() {
		return true
	}
	if !d.atNumber() {
		return d.nonFiniteDouble(dst)
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
	text, ok := d.base64()
	if !ok {
		return false
	}
	data, ok := decodeBase64(text)
	if ok {
		*dst = data
	}
	return ok
}

// base64 reads a string that may be base64, without looking at each byte twice:
// what is none is found when it is decoded, and checked when it is kept.
func (d *Decoder) base64() ([]byte, bool) {
	if d.peek() != '"' {
		return nil, false
	}
	raw := d.data[d.pos+1:]
	n := bytes.IndexByte(raw, '"')
	if n < 0 || bytes.IndexByte(raw[:n], '\\') >= 0 {
		return d.text()
	}
	d.pos += n + 2
	return raw[:n], true
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
		v, ok := d.integer()
		if !ok || v != int64(byte(v)) {
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
	seconds, ok := d.integer()
	if !ok {
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
		*dst = d.kept(start, d.pos)
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
