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

// Encoder writes JSON. A request leaves out what only replies have, and must
// have what it can't do without; a full encoding has all that the schema
// requires, as null where it isn't known.
type Encoder struct {
	buf     []byte
	full    bool
	decided []Constant // of the outermost object
}

// Full reports whether the encoding is that of a reply.
func (e *Encoder) Full() bool { return e.full }

// ObjectWriter is an object that is being written.
type ObjectWriter struct {
	extra   extra
	decided []Constant
	err     error
	started bool
}

// Has reports whether extra_json has the member number i.
func (o *ObjectWriter) Has(i int) bool { return o.extra.known.Has(i) }

// Open begins an object whose message has this extra_json. The function known
// returns the number of a member by its name, and -1 for others.
func (e *Encoder) Open(o *ObjectWriter, extraJSON string, known func(string) int) (err error) {
	o.decided, e.decided = e.decided, nil
	e.buf = append(e.buf, '{')
	if extraJSON != "" {
		o.extra, err = parseExtra(extraJSON, known, o.decided)
	}
	return err
}

// Member begins the member number i and reports whether its value is to be
// written. It isn't where extra_json has the member; if the field is set too,
// [Encoder.Close] fails. The name is quoted and has its colon: `"model":`.
func (e *Encoder) Member(o *ObjectWriter, i int, name string, set bool) bool {
	if o.Has(i) {
		if set && o.err == nil {
			o.err = &FieldError{extraField, bare(name) + " is set as a typed field too: leave one out"}
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

// bare is a quoted name without its colon.
func bare(name string) string { return strings.TrimSuffix(name, ":") }

// Null writes the unset member i as null.
func (e *Encoder) Null(o *ObjectWriter, i int, name string) {
	if e.Member(o, i, name, false) {
		e.buf = append(e.buf, "null"...)
	}
}

// Required is the unset member i that the schema requires: null in a reply, and
// an error in a request.
func (e *Encoder) Required(o *ObjectWriter, i int, name, field string) {
	switch {
	case e.full:
		e.Null(o, i, name)
	case !o.Has(i) && o.err == nil:
		o.err = &FieldError{field, isRequired}
	}
}

// RequiredOneof is an unset oneof. A request must have one of the fields, or
// something in extra_json that stands for it.
func (e *Encoder) RequiredOneof(o *ObjectWriter, fields ...string) {
	switch {
	case e.full || o.extra.members != "" || o.err != nil:
	case len(fields) == 1:
		o.err = &FieldError{fields[0], isRequired}
	default:
		o.err = &FieldError{"", "one of " + strings.Join(fields, ", ") + " is required"}
	}
}

// Both is the error of two fields that are forms of one member.
func (e *Encoder) Both(o *ObjectWriter, field, other string) {
	if o.err == nil {
		o.err = &FieldError{other, "is set, and " + field + " too: leave one out"}
	}
}

// Close ends an object: with the members of extra_json, and with those that the
// RPC decides.
func (e *Encoder) Close(o *ObjectWriter) error {
	if o.extra.members != "" {
		e.name(o, o.extra.members)
	}
	for i, c := range o.decided {
		if c.JSON != "" && !o.extra.decided.Has(i) {
			e.name(o, quote(c.Name)+":"+c.JSON)
		}
	}
	e.buf = append(e.buf, '}')
	return o.err
}

// Raw writes JSON text that is known to be valid.
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

// Double writes the shortest number that is read as v again, in the form that
// ECMAScript gives it. NaN and the infinities, which JSON has no number for, are
// strings in a reply, and an error in a request.
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

// Octets writes bytes as an array of integers.
func (e *Encoder) Octets(v []byte) error {
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

// Time writes Unix seconds. A time with a fraction of a second is refused, and
// one that no Timestamp may have.
func (e *Encoder) Time(v *timestamppb.Timestamp) error {
	if v.GetNanos() != 0 {
		return &FieldError{"", "must be whole seconds"}
	}
	if !v.IsValid() {
		return &FieldError{"", "must be within the years 1 to 9999"}
	}
	return e.Int64(v.GetSeconds())
}

// JSONObject writes text that must be a JSON object, verbatim.
func (e *Encoder) JSONObject(text string) error {
	start := len(e.buf)
	e.Raw(text)
	d := Decoder{data: e.buf[start:]}
	d.space()
	if d.peek() != '{' {
		d.fail("an object was expected")
	}
	d.skip()
	d.space()
	if d.err == "" && d.pos < len(d.data) {
		d.fail("the object has ended, and more follows")
	}
	if d.err != "" {
		return notJSON(&d, "", "the text of one JSON object")
	}
	return nil
}

// WriteEnum writes an enum's JSON string, which spell returns quoted, and empty for
// numbers that the enum lacks.
func WriteEnum[E ~int32](e *Encoder, v E, spell func(E) string) error {
	text := spell(v)
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

// String writes a string. It escapes what JSON demands and nothing else. Bytes
// that are not UTF-8, which neither Protobuf nor JSON has, are refused.
func (e *Encoder) String(s string) error {
	b := e.buf
	b = append(b, '"')
	for rest := s; ; {
		n, ascii := unescaped(rest)
		if !ascii && !utf8.ValidString(rest[:n]) {
			return &FieldError{"", "is not UTF-8"}
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

// unescaped returns how many bytes of s, from its beginning, stand in JSON as
// they are, and whether all are ASCII.
func unescaped(s string) (n int, ascii bool) {
	beyond := uint64(0) // has a high bit of each byte that is beyond ASCII
	for ; n+8 <= len(s); n += 8 {
		w := s[n : n+8]
		word := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		if stops(word) != 0 {
			break
		}
		beyond |= word
	}
	for ; n < len(s) && s[n] >= 0x20 && s[n] != '"' && s[n] != '\\'; n++ {
		beyond |= uint64(s[n])
	}
	return n, beyond&highBits == 0
}

// quote is a name as a JSON string.
func quote(name string) string {
	var e Encoder
	_ = e.String(strings.ToValidUTF8(name, string(utf8.RuneError)))
	return string(e.buf)
}

// BesideBare is the error of extra_json beside a value that is no object.
func BesideBare(field string) error {
	return &FieldError{extraField, "has no place beside " + field + ": leave one out"}
}

// UnknownEnum is the error of an enum's number that the enum lacks.
func UnknownEnum[E ~int32](field string, v E) error {
	return &FieldError{field, strconv.Itoa(int(v)) + " is no value that this server knows"}
}
