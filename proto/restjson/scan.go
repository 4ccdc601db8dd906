package restjson

import (
	"encoding/binary"
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

// peek is the byte that the decoder stands before, and 0 at the end.
func (d *Decoder) peek() byte {
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *Decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// skip moves past one value, whatever it is.
func (d *Decoder) skip() {
	switch c := d.peek(); c {
	case '{':
		d.skipObject()
	case '[':
		d.skipArray()
	case '"':
		if raw, plain := d.scanString(); !plain {
			d.checkString(raw)
		}
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
	o, _ := d.Object()
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

// scanString moves past the string that begins here and returns what stands
// between its quotes. A plain string has neither escapes nor bytes beyond
// ASCII; another one is checked, and unescaped, by who needs it.
func (d *Decoder) scanString() (raw []byte, plain bool) {
	if d.peek() != '"' {
		d.fail("a string was expected")
		return nil, true
	}
	data := d.data
	start := d.pos + 1
	i := start
	plain = true
words:
	for {
		// Eight bytes at a time while none is a quote, a backslash, a control
		// character, or beyond ASCII. False alarms only cost the slow loop.
		for len(data)-i >= 8 {
			w := binary.LittleEndian.Uint64(data[i:])
			quote := w ^ '"'*everyByte
			backslash := w ^ '\\'*everyByte
			if (w|(w-0x20*everyByte)|(quote-everyByte)|(backslash-everyByte))&highBits != 0 {
				break
			}
			i += 8
		}
		for n := 0; ; n++ {
			if i >= len(data) {
				d.pos = len(data)
				d.fail("the string does not end")
				return nil, true
			}
			c := data[i]
			if c == '"' {
				d.pos = i + 1
				return data[start:i], plain
			}
			if c < 0x20 {
				d.pos = i
				d.fail("a control character stands in a string unescaped")
				return nil, true
			}
			switch {
			case c == '\\':
				plain = false
				i++ // Whatever is escaped, the string does not end there.
			case c >= utf8.RuneSelf:
				plain = false
			case n >= 8:
				continue words
			}
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
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // A character follows, as a backslash ends no string.
		if raw[i] == 'u' {
			if _, ok := hex4(raw[i+1:]); !ok {
				d.pos = start + i - 1
				d.fail("\\u is not followed by four hexadecimal digits")
				return
			}
			i += 4
			continue
		}
		if escapes[raw[i]] == 0 {
			d.pos = start + i - 1
			d.fail("the escape is unknown")
			return
		}
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

// unescape appends what raw, the checked inside of a string, stands for. It
// reports false at a lone surrogate, which no UTF-8 can express.
func unescape(b, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			b = append(b, escapes[raw[i+1]])
			i += 2
			continue
		}
		r, _ := hex4(raw[i+2:])
		i += 6
		if 0xD800 <= r && r < 0xE000 {
			if r >= 0xDC00 || len(raw)-i < 6 || raw[i] != '\\' || raw[i+1] != 'u' {
				return nil, false
			}
			low, _ := hex4(raw[i+2:])
			if low < 0xDC00 || low >= 0xE000 {
				return nil, false
			}
			r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
			i += 6
		}
		b = utf8.AppendRune(b, r)
	}
	return b, true
}

// scanNumber moves past the number that begins here and returns its text.
func (d *Decoder) scanNumber() []byte {
	data, i := d.data, d.pos
	digits := func() bool {
		from := i
		for i < len(data) && '0' <= data[i] && data[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(data) && data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if !digits() {
		if i >= len(data) {
			d.pos = i
			d.fail("the text ends before the value does")
		} else {
			d.fail("a value was expected")
		}
		return nil
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			d.pos = i
			d.fail("the number has no digit after its point")
			return nil
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			d.pos = i
			d.fail("the number has no digit in its exponent")
			return nil
		}
	}
	text := data[d.pos:i]
	d.pos = i
	return text
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
