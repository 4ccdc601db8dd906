package restjson

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Encoder writes JSON. In a request, output-only members are omitted, and missing
// required members are errors. In a full encoding, a response, missing required
// members are null.
type Encoder struct {
	buf   []byte
	full  bool
	fixed []Constant // for the outermost object
}

// Full reports whether the encoder writes a response.
func (e *Encoder) Full() bool { return e.full }

// ObjectWriter is the state of writing an object.
type ObjectWriter struct {
	extra   extra
	fixed   []Constant
	err     error
	started bool
}

// Has reports whether extra_json has the member number i.
func (o *ObjectWriter) Has(i int) bool { return o.extra.known.Has(i) }

// Open begins an object with the message's extra_json. The function known returns
// the number of a defined member by its name, and -1 for other names.
func (e *Encoder) Open(o *ObjectWriter, extraJSON string, known func(string) int) (err error) {
	o.fixed, e.fixed = e.fixed, nil
	e.buf = append(e.buf, '{')
	if extraJSON != "" {
		o.extra, err = parseExtra(extraJSON, known, o.fixed)
	}
	return err
}

// Member begins member number i and reports whether the caller must write its
// value. It returns false if extra_json has the member; [Encoder.Close] then fails
// if the field is set too. The name includes quotes and colon: `"model":`.
func (e *Encoder) Member(o *ObjectWriter, i int, name string, set bool) bool {
	if o.Has(i) {
		if set && o.err == nil {
			o.err = &FieldError{extraField, quotedName(name) + " is also set as a typed field: remove one"}
		}
		return false
	}
	e.name(o, name)
	return true
}

func (e *Encoder) name(o *ObjectWriter, name string) {
	if o.started {
		e.buf = append(e.buf, ',')
	}
	o.started = true
	e.buf = append(e.buf, name...)
}

// quotedName returns a quoted name without its colon.
func quotedName(name string) string { return strings.TrimSuffix(name, ":") }

// Null writes member number i, whose field is not set, as null.
func (e *Encoder) Null(o *ObjectWriter, i int, name string) {
	if e.Member(o, i, name, false) {
		e.buf = append(e.buf, "null"...)
	}
}

// Required handles a required member whose field is not set: null in a response,
// an error in a request.
func (e *Encoder) Required(o *ObjectWriter, i int, name, field string) {
	switch {
	case e.full:
		e.Null(o, i, name)
	case !o.Has(i) && o.err == nil:
		o.err = &FieldError{field, required}
	}
}

// RequiredOneof handles a oneof without a value. A request must set one of the
// fields or have an equivalent in extra_json.
func (e *Encoder) RequiredOneof(o *ObjectWriter, fields ...string) {
	switch {
	case e.full || o.extra.members != "" || o.err != nil:
	case len(fields) == 1:
		o.err = &FieldError{fields[0], required}
	default:
		o.err = &FieldError{"", "one of " + strings.Join(fields, ", ") + " is required"}
	}
}

// BothSet fails because two fields with the forms of one member are set.
func (e *Encoder) BothSet(o *ObjectWriter, field, other string) {
	if o.err == nil {
		o.err = &FieldError{other, "cannot be set together with " + field}
	}
}

// Close writes the members of extra_json and the fixed members, and ends the
// object.
func (e *Encoder) Close(o *ObjectWriter) error {
	if o.extra.members != "" {
		e.name(o, o.extra.members)
	}
	for i, c := range o.fixed {
		if c.JSON != "" && !o.extra.fixed.Has(i) {
			e.name(o, quote(c.Name)+":"+c.JSON)
		}
	}
	e.buf = append(e.buf, '}')
	return o.err
}

// Raw writes valid JSON text.
func (e *Encoder) Raw(text string) { e.buf = append(e.buf, text...) }

// Bool writes true or false.
func (e *Encoder) Bool(v bool) error {
	e.buf = strconv.AppendBool(e.buf, v)
	return nil
}

// Int32 writes an integer.
func (e *Encoder) Int32(v int32) error {
	e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	return nil
}

// Int64 writes an integer.
func (e *Encoder) Int64(v int64) error {
	e.buf = strconv.AppendInt(e.buf, v, 10)
	return nil
}

// Double writes the shortest number that parses as v, in ECMAScript's format. NaN
// and the infinities, which JSON cannot represent, are strings in a response and
// errors in a request.
func (e *Encoder) Double(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return e.nonFinite(v)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	e.buf = strconv.AppendFloat(e.buf, v, format, -1, 64)
	if n := len(e.buf); format == 'e' && e.buf[n-2] == '0' && e.buf[n-3] == '-' {
		// ECMAScript has no zero before the exponent: 1e-7, not 1e-07.
		e.buf = append(e.buf[:n-2], e.buf[n-1])
	}
	return nil
}

// Bytes writes standard base64, padded.
func (e *Encoder) Bytes(v []byte) error {
	e.buf = append(e.buf, '"')
	e.buf = appendBase64(e.buf, v)
	e.buf = append(e.buf, '"')
	return nil
}

// ByteArray writes bytes as an array of integers.
func (e *Encoder) ByteArray(v []byte) error {
	e.buf = append(e.buf, '[')
	for i, b := range v {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = strconv.AppendUint(e.buf, uint64(b), 10)
	}
	e.buf = append(e.buf, ']')
	return nil
}

// Time writes Unix seconds. A fraction of a second and a time outside the range of
// a Timestamp are errors.
func (e *Encoder) Time(v *timestamppb.Timestamp) error {
	if v.GetNanos() != 0 {
		return &FieldError{"", "must be whole seconds"}
	}
	if !v.IsValid() {
		return &FieldError{"", "must be within the years 1 to 9999"}
	}
	return e.Int64(v.GetSeconds())
}

// JSONObject writes text verbatim. Text that is not a JSON object is an error.
func (e *Encoder) JSONObject(text string) error {
	start := len(e.buf)
	e.Raw(text)
	d := Decoder{data: e.buf[start:]}
	d.space()
	if d.peek() != '{' {
		d.fail("expected an object")
	}
	d.skip()
	d.space()
	if d.err == "" && d.pos < len(d.data) {
		d.fail("unexpected data after the object")
	}
	if d.err != "" {
		return invalidJSON(&d, "", "the text of one JSON object")
	}
	return nil
}

// WriteEnum writes the JSON string of an enum value. The function toREST returns it
// quoted, or empty if the enum does not define the value.
func WriteEnum[E ~int32](e *Encoder, v E, toREST func(E) string) error {
	text := toREST(v)
	if text == "" {
		return UnknownEnum("", v)
	}
	e.Raw(text)
	return nil
}

// WriteList writes an array.
func WriteList[T any](e *Encoder, list []T, write func(T) error) error {
	e.buf = append(e.buf, '[')
	for i, v := range list {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := write(v); err != nil {
			return Index(i, err)
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

// WriteMap writes an object, sorted by key.
func WriteMap[T any](e *Encoder, m map[string]T, write func(T) error) error {
	e.buf = append(e.buf, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.String(key); err != nil {
			return Key(key, err)
		}
		e.buf = append(e.buf, ':')
		if err := write(m[key]); err != nil {
			return Key(key, err)
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

const hexDigits = "0123456789abcdef"

// String writes a string with the minimal escapes. Invalid UTF-8 is an error.
func (e *Encoder) String(s string) error {
	b := e.buf
	b = append(b, '"')
	for rest := s; ; {
		n, ascii := plainPrefix(rest)
		if !ascii && !utf8.ValidString(rest[:n]) {
			return &FieldError{"", "is not valid UTF-8"}
		}
		b = append(b, rest[:n]...)
		if n == len(rest) {
			break
		}
		switch c := rest[n]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xF])
		}
		rest = rest[n+1:]
	}
	b = append(b, '"')
	e.buf = b
	return nil
}

// plainPrefix returns the length of the longest prefix of s that needs no escapes,
// and whether it is ASCII. It reads eight bytes at once (SWAR).
func plainPrefix(s string) (n int, ascii bool) {
	nonASCII := uint64(0) // the high bit of each byte is set if a byte is not ASCII
	for ; n+8 <= len(s); n += 8 {
		w := s[n : n+8]
		word := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		if specialBytes(word) != 0 {
			break
		}
		nonASCII |= word
	}
	for ; n < len(s) && s[n] >= 0x20 && s[n] != '"' && s[n] != '\\'; n++ {
		nonASCII |= uint64(s[n])
	}
	return n, nonASCII&highBits == 0
}

// quote returns a name as a JSON string.
func quote(name string) string {
	var e Encoder
	_ = e.String(strings.ToValidUTF8(name, string(utf8.RuneError)))
	return string(e.buf)
}

// ExtraWithBareValue returns the error for an extra_json together with a field
// whose JSON is not an object.
func ExtraWithBareValue(field string) error {
	return &FieldError{extraField, "cannot be set together with " + field}
}

// UnknownEnum returns the error for a value that the enum does not define.
func UnknownEnum[E ~int32](field string, v E) error {
	return &FieldError{field, strconv.Itoa(int(v)) + " is not a known value"}
}
