package restjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// The grammar of JSON, RFC 8259. A scan either consumes one token or value or
// fails. After a failure, scans have no effect.

// fail records the first error and its offset.
func (d *Decoder) fail(reason string) {
	if d.err == "" {
		d.err, d.errOffset = reason, d.pos
	}
}

// byteAt returns the byte at i, or 0 nonASCII the end.
func byteAt(data []byte, i int) byte {
	if uint(i) < uint(len(data)) {
		return data[i]
	}
	return 0
}

// peek returns the next byte, or 0 at the end.
func (d *Decoder) peek() byte { return byteAt(d.data, d.pos) }

// byteOrderMark is U+FEFF in UTF-8. RFC 8259, section 8.1, allows a parser to
// ignore it at the beginning.
const byteOrderMark = "\xEF\xBB\xBF"

// skipPreamble skips a byte order mark and the white space at the beginning.
func (d *Decoder) skipPreamble() {
	if byteAt(d.data, 0) == byteOrderMark[0] && bytes.HasPrefix(d.data, []byte(byteOrderMark)) {
		d.pos = len(byteOrderMark)
	}
	d.space()
}

// space skips white space.
func (d *Decoder) space() { d.pos = spaceEnd(d.data, d.pos) }

// spaceEnd returns the end of the white space at i.
func spaceEnd(data []byte, i int) int {
	if uint(i) < uint(len(data)) && data[i] <= ' ' {
		return skipSpace(data, i)
	}
	return i
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// skip skips one value of any type.
func (d *Decoder) skip() {
	switch c := d.peek(); c {
	case '{':
		d.skipObject()
	case '[':
		d.skipArray()
	case '"':
		d.rawString()
	case 't':
		d.literal("true")
	case 'f':
		d.literal("false")
	case 'n':
		d.literal("null")
	default:
		d.scanNumber()
	}
}

func (d *Decoder) skipObject() {
	var o ObjectReader
	d.Object(&o)
	for d.Next(&o) {
		d.skip()
	}
}

func (d *Decoder) skipArray() {
	var a arrayReader
	d.openArray(&a)
	for d.nextItem(&a) {
		d.skip()
	}
}

func (d *Decoder) literal(text string) {
	if len(d.data)-d.pos < len(text) || string(d.data[d.pos:d.pos+len(text)]) != text {
		d.fail("expected a value")
		return
	}
	d.pos += len(text)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x80 * lowBits
)

// specialBytes tests eight bytes at once (SWAR). It returns zero if none of them is
// a quote, a backslash or a control character. Otherwise the lowest bit set is the
// high bit of the first such byte.
func specialBytes(word uint64) uint64 {
	// Subtracting from a smaller byte borrows, which sets its high bit. Bytes that
	// are not ASCII already have it set. Flipping the bit with the value 2 moves
	// the quote directly after the control characters.
	quote := (word ^ 2*lowBits) - ('"'-1)*lowBits
	backslash := (word ^ '\\'*lowBits) - lowBits
	return (quote | backslash) &^ word & highBits
}

// failString fails at i, where a string is malformed.
func (d *Decoder) failString(i int) {
	d.pos = i
	if i < len(d.data) {
		d.fail("unescaped control character in a string")
	} else {
		d.fail("unterminated string")
	}
}

// closingQuote returns the offset of the quote that ends a string whose content
// begins at i, and whether the string is plain: ASCII without escapes. For a
// malformed string it returns the complement of the offset of a control character,
// or of the length of the data.
func closingQuote(data []byte, i int) (end int, plain bool) {
	plain = true
	nonASCII := uint64(0) // the high bit of each byte is set if a byte is not ASCII
	for {
		for uint(i)+8 <= uint(len(data)) {
			word := binary.LittleEndian.Uint64(data[i : i+8])
			if special := specialBytes(word); special != 0 {
				nonASCII |= word & (special ^ (special - 1)) // the bytes before the special one
				i += bits.TrailingZeros64(special) / 8
				break
			}
			nonASCII |= word
			i += 8
		}
		switch c := byteAt(data, i); {
		case c == '"':
			return i, plain && nonASCII&highBits == 0
		case c == '\\':
			plain = false
			i += 2 // An escaped quote does not end the string.
		case c < 0x20:
			return ^min(i, len(data)), true
		default: // fewer than eight bytes are left
			nonASCII |= uint64(c)
			i++
		}
	}
}

// checkString fails if the content of the string that was just read has an invalid
// escape or invalid UTF-8.
func (d *Decoder) checkString(raw []byte) {
	start := d.pos - 1 - len(raw)
	if !utf8.Valid(raw) {
		for n := 0; n < len(raw); {
			r, size := utf8.DecodeRune(raw[n:])
			if r == utf8.RuneError && size == 1 {
				d.pos = start + n
				break
			}
			n += size
		}
		d.fail("invalid UTF-8")
		return
	}
	for i := 0; ; {
		n := bytes.IndexByte(raw[i:], '\\')
		if n < 0 {
			return
		}
		i += n + 1 // A character follows, because a string does not end with a backslash.
		switch {
		case raw[i] == 'u':
			if _, ok := hex4(raw[i+1:]); !ok {
				d.pos = start + i - 1
				d.fail("\\u is not followed by four hexadecimal digits")
				return
			}
			i += 4
		case escapes[raw[i]] == 0:
			d.pos = start + i - 1
			d.fail("unknown escape")
			return
		}
		i++
	}
}

// escapes maps a character after a backslash to its meaning.
var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape returns the value of raw, the validated content of a string. It returns
// false for a lone surrogate, which UTF-8 cannot represent.
func unescape(raw []byte) (string, bool) {
	var b strings.Builder
	b.Grow(len(raw))
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			b.Write(raw)
			return b.String(), true
		}
		b.Write(raw[:n])
		escape := raw[n+1]
		raw = raw[n+2:]
		if escape != 'u' {
			b.WriteByte(escapes[escape])
			continue
		}
		r, _ := hex4(raw)
		raw = raw[4:]
		if 0xD800 <= r && r < 0xE000 {
			if r >= 0xDC00 || len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
				return "", false
			}
			low, _ := hex4(raw[2:])
			if low < 0xDC00 || low >= 0xE000 {
				return "", false
			}
			r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
			raw = raw[6:]
		}
		b.WriteRune(r)
	}
}

// scanNumber consumes a number and returns its text.
func (d *Decoder) scanNumber() []byte {
	data, i := d.data, d.pos
	if i < len(data) && data[i] == '-' {
		i++
	}
	whole := i
	if i < len(data) && data[i] == '0' {
		i++
	} else if i = digits(data, i); i == whole {
		if text := d.scanNonFinite(i); text != nil {
			return text
		}
		if i >= len(data) {
			d.pos = i
			d.fail("unexpected end")
		} else {
			d.fail("expected a value")
		}
		return nil
	}
	if i < len(data) && data[i] == '.' {
		fraction := i + 1
		if i = digits(data, fraction); i == fraction {
			d.pos = i
			d.fail("expected a digit after the decimal point")
			return nil
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		exponent := i + 1
		if exponent < len(data) && (data[exponent] == '+' || data[exponent] == '-') {
			exponent++
		}
		if i = digits(data, exponent); i == exponent {
			d.pos = i
			d.fail("expected a digit in the exponent")
			return nil
		}
	}
	text := data[d.pos:i]
	d.pos = i
	return text
}

// digits returns the end of the decimal digits at i.
func digits(data []byte, i int) int {
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// arrayReader is the state of reading an array.
type arrayReader struct {
	started bool
}

// openArray begins to read an array.
func (d *Decoder) openArray(*arrayReader) {
	d.pos++
	d.pushDepth()
}

// nextItem advances to the next item. It returns false after the last item, when it
// has consumed the array, and after an error.
func (d *Decoder) nextItem(a *arrayReader) bool {
	if d.err != "" {
		return false
	}
	d.space()
	c := d.peek()
	switch {
	case c == ']':
		d.pos++
		d.depth--
		return false
	case !a.started:
		a.started = true
		return true
	case c != ',':
		d.fail("expected a comma or the end of the array")
		return false
	}
	d.pos++
	d.space()
	if d.peek() == ']' {
		d.fail("expected a value")
		return false
	}
	return true
}

func (d *Decoder) pushDepth() {
	d.depth++
	if d.depth > MaxDepth {
		d.fail("too many nested objects and arrays (maximum 10000)")
	}
}
