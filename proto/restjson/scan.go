package restjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// The grammar of JSON, RFC 8259. A scan either moves past one token or value,
// or fails; after a failure every scan does nothing.

// fail keeps the first error, with the place where it was seen.
func (d *Decoder) fail(reason string) {
	if d.err == "" {
		d.err, d.errAt = reason, d.pos
	}
}

// at is the byte at i, and 0 beyond the end.
func at(data []byte, i int) byte {
	if uint(i) < uint(len(data)) {
		return data[i]
	}
	return 0
}

// peek is the byte that the decoder stands before, and 0 at the end.
func (d *Decoder) peek() byte { return at(d.data, d.pos) }

// byteOrderMark is U+FEFF in UTF-8. RFC 8259, section 8.1, lets a reader ignore
// one at the beginning of a text.
const byteOrderMark = "\xEF\xBB\xBF"

// begin moves past a byte order mark and the white space at the beginning.
func (d *Decoder) begin() {
	if at(d.data, 0) == byteOrderMark[0] && bytes.HasPrefix(d.data, []byte(byteOrderMark)) {
		d.pos = len(byteOrderMark)
	}
	d.space()
}

// space moves past white space.
func (d *Decoder) space() { d.pos = spaceEnd(d.data, d.pos) }

// spaceEnd returns where the white space ends that may begin at i.
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

// skip moves past one value, whatever it is.
func (d *Decoder) skip() {
	switch c := d.peek(); c {
	case '{':
		d.skipObject()
	case '[':
		d.skipArray()
	case '"':
		d.raw()
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
	var o Object
	d.Object(&o)
	for d.Next(&o) {
		d.skip()
	}
}

func (d *Decoder) skipArray() {
	var a array
	d.open(&a)
	for d.elem(&a) {
		d.skip()
	}
}

func (d *Decoder) literal(text string) {
	if len(d.data)-d.pos < len(text) || string(d.data[d.pos:d.pos+len(text)]) != text {
		d.fail("a value was expected")
		return
	}
	d.pos += len(text)
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// stops marks, by its high bit, the first of eight bytes that is a quote, a
// backslash, or a control character, and perhaps bytes after that one. Zero
// where there is none.
func stops(word uint64) uint64 {
	// What is subtracted from a smaller byte borrows, which sets its high bit.
	// Bytes beyond ASCII have it already. With the bit 2 turned, the quote
	// stands directly behind the control characters.
	quote := (word ^ 2*everyByte) - ('"'-1)*everyByte
	backslash := (word ^ '\\'*everyByte) - everyByte
	return (quote | backslash) &^ word & highBits
}

// unclosed fails at i, where a string is broken.
func (d *Decoder) unclosed(i int) {
	d.pos = i
	if i < len(d.data) {
		d.fail("a control character stands in a string unescaped")
	} else {
		d.fail("the string does not end")
	}
}

// closing returns where the quote stands that closes a string whose inside
// begins at i, and whether the string is plain: without escapes and bytes beyond
// ASCII. If nothing closes it, that is the complement of where a control
// character stands, or of the data's length.
func closing(data []byte, i int) (end int, plain bool) {
	plain = true
	beyond := uint64(0) // has a high bit of each byte that is beyond ASCII
	for {
		for uint(i)+8 <= uint(len(data)) {
			word := binary.LittleEndian.Uint64(data[i : i+8])
			if stop := stops(word); stop != 0 {
				beyond |= word & (stop ^ (stop - 1)) // the bytes before the first stop
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			beyond |= word
			i += 8
		}
		switch c := at(data, i); {
		case c == '"':
			return i, plain && beyond&highBits == 0
		case c == '\\':
			plain = false
			i += 2 // Whatever is escaped, the string does not end there.
		case c < 0x20:
			return ^min(i, len(data)), true
		default: // near the end of the data
			beyond |= uint64(c)
			i++
		}
	}
}

// checkString fails where the inside of a string, which ends before the
// decoder's place, has an escape that is none or bytes that are not UTF-8.
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
		d.fail("the text is not UTF-8")
		return
	}
	for i := 0; ; {
		n := bytes.IndexByte(raw[i:], '\\')
		if n < 0 {
			return
		}
		i += n + 1 // A character follows, as a backslash ends no string.
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
			d.fail("the escape is unknown")
			return
		}
		i++
	}
}

// escapes has what a character after a backslash stands for.
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

// unescape returns what raw, the checked inside of a string, stands for. It
// reports false at a lone surrogate, which no UTF-8 can express.
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

// scanNumber moves past the number that begins here and returns its text.
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
			d.fail("the text ends before the value does")
		} else {
			d.fail("a value was expected")
		}
		return nil
	}
	if i < len(data) && data[i] == '.' {
		fraction := i + 1
		if i = digits(data, fraction); i == fraction {
			d.pos = i
			d.fail("the number has no digit after its point")
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
			d.fail("the number has no digit in its exponent")
			return nil
		}
	}
	text := data[d.pos:i]
	d.pos = i
	return text
}

// digits returns where the decimal digits end that begin at i.
func digits(data []byte, i int) int {
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// array is a walk over an array.
type array struct {
	started bool
}

// open enters the array that begins here.
func (d *Decoder) open(*array) {
	d.pos++
	d.enter()
}

// elem stands the decoder before the next item. It reports false at the end,
// which it moves past, and after an error.
func (d *Decoder) elem(a *array) bool {
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
		d.fail("a comma or the end of the array was expected")
		return false
	}
	d.pos++
	d.space()
	if d.peek() == ']' {
		d.fail("a value was expected")
		return false
	}
	return true
}

func (d *Decoder) enter() {
	d.depth++
	if d.depth > MaxDepth {
		d.fail("objects and arrays nest too deeply (the limit is 10000)")
	}
}
