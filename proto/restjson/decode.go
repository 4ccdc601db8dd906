package restjson

import (
	"bytes"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Decoder reads JSON in one pass. Generated code calls the method for the type of
// a field to read the next value.
//
// Each of these methods reports whether the value matches the type. If it does,
// the decoder has consumed it; null matches every type and leaves the field as it
// is. If it does not match, the position of the decoder is undefined, and the
// caller must call [Decoder.Spill] or return false itself. Results after
// malformed JSON, which [Unmarshal] reports, are undefined.
type Decoder struct {
	data   []byte
	pos    int
	depth  int
	spans  []span       // the spilled members of all open objects
	repeat *interner    // nil outside of streams
	order  *memberOrder // nil if the order is not tracked

	shortStrings stringSlab
	stringFields slab[string]
	int32Fields  slab[int32]

	// lenient accepts NaN and infinities: see [Unmarshal]. nonFinite is set once
	// one was read.
	lenient, nonFinite bool

	err       string
	errOffset int
}

// maxSpans is the maximum capacity of spans kept for the next message.
const maxSpans = 64

// unmarshal reads all of data into the message. It does not retain data.
func (d *Decoder) unmarshal(data []byte, m Decodable) (err error) {
	d.data, d.pos, d.depth, d.spans, d.err = data, 0, 0, d.spans[:0], ""
	d.lenient, d.nonFinite = true, false
	d.order.next = 0
	d.skipPreamble()
	if !m.DecodeREST(d) {
		d.fail("expected an object")
	}
	d.space()
	if d.err == "" && d.pos < len(d.data) {
		d.fail("unexpected data after the value")
	}
	if d.err != "" {
		err = &SyntaxError{Offset: d.errOffset, Path: pathAt(data, d.errOffset), Reason: d.err}
	}
	d.data = nil
	if cap(d.spans) > maxSpans {
		d.spans = nil
	}
	return err
}

// Null consumes a null and reports whether there was one.
func (d *Decoder) Null() bool {
	if d.peek() != 'n' {
		return false
	}
	d.literal("null")
	return true
}

// AtList reports whether the next value is an array, without consuming it.
func (d *Decoder) AtList() bool { return d.peek() == '[' }

// rawString reads a string and returns the bytes between its quotes, which are
// its value unless it is escaped. It returns false for other values and after an
// error.
func (d *Decoder) rawString() (raw []byte, escaped, ok bool) {
	if d.peek() != '"' {
		return nil, false, false
	}
	start := d.pos + 1
	end, plain := closingQuote(d.data, start)
	if end < 0 {
		d.failString(^end)
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

// stringBytes reads a string. It returns false for other values and for strings
// with a lone surrogate, which Protobuf cannot represent. The result may alias
// the input.
func (d *Decoder) stringBytes() ([]byte, bool) {
	raw, escaped, ok := d.rawString()
	if !ok || !escaped {
		return raw, ok
	}
	text, ok := unescape(raw)
	return []byte(text), ok
}

// String reads a string.
func (d *Decoder) String(dst *string) bool {
	if d.repeat.reuse(d, dst) {
		return true
	}
	raw, escaped, ok := d.rawString()
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
	*dst = d.shortStrings.string(raw)
	d.repeat.learn(*dst)
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

// integer reads an integer. It consumes only integers.
func (d *Decoder) integer() (v int64, ok bool) {
	start, i := d.pos, d.pos
	c := byteAt(d.data, i)
	for ; '0' <= c && c <= '9'; c = byteAt(d.data, i) {
		v = v*10 + int64(c-'0')
		i++
	}
	// Anything but a few digits takes the slow path.
	if n := i - start; 0 < n && n < 19 && (n == 1 || d.data[start] != '0') && (c == ',' || c == '}' || c == ']') {
		d.pos = i
		return v, true
	}
	return d.anyInteger()
}

// anyInteger is the slow path of integer, for all values.
func (d *Decoder) anyInteger() (v int64, ok bool) {
	if !d.atNumber() {
		return 0, false
	}
	start := d.pos
	text := d.scanNumber()
	v, err := strconv.ParseInt(string(text), 10, 64)
	// No integer type can represent -0.
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

// Double reads a number as the nearest double. A number beyond the range of
// doubles does not match. NaN and the infinities may be quoted.
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

// Bytes reads a string of canonical, padded, standard base64.
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

// base64 reads a string that may be base64 without validating it. Decoding
// detects other strings, which are then validated when their text is kept.
func (d *Decoder) base64() ([]byte, bool) {
	if d.peek() != '"' {
		return nil, false
	}
	raw := d.data[d.pos+1:]
	n := bytes.IndexByte(raw, '"')
	if n < 0 || bytes.IndexByte(raw[:n], '\\') >= 0 {
		return d.stringBytes()
	}
	d.pos += n + 2
	return raw[:n], true
}

// ByteArray reads an array of integers from 0 to 255 into bytes.
func (d *Decoder) ByteArray(dst *[]byte) bool {
	if d.Null() {
		return true
	}
	if d.peek() != '[' {
		return false
	}
	bytes := make([]byte, 0, 8)
	var a arrayReader
	d.openArray(&a)
	for d.nextItem(&a) {
		v, ok := d.integer()
		if !ok || v != int64(byte(v)) {
			return false
		}
		bytes = append(bytes, byte(v))
	}
	*dst = bytes
	return true
}

// Time reads an integer of Unix seconds in the years 1 to 9999.
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

// JSONObject reads the text of an object.
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
		*dst = d.jsonText(start, d.pos)
	}
	return true
}

// Constant reads a value and reports whether its text is equal to text.
func (d *Decoder) Constant(text string) bool {
	if d.Null() {
		return true
	}
	start := d.pos
	d.skip()
	return d.err == "" && string(d.data[start:d.pos]) == text
}

// Enum reads a string that parse maps to a value. A string that it maps to 0 does
// not match.
func Enum[E ~int32](d *Decoder, dst *E, parse func([]byte) E) bool {
	if d.Null() {
		return true
	}
	text, ok := d.stringBytes()
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
