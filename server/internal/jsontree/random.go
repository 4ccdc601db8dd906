package jsontree

import (
	"encoding/base64"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Random generates random values, covering the JSON syntax and
// common sources of bugs.
type Random struct {
	*rand.Rand

	// Plain excludes what many programs do not preserve: integers beyond 64 bits or not
	// written as digits, fractions beyond a double's precision, and duplicate names.
	Plain bool
}

// Chance reports true with this probability.
func (r Random) Chance(p float64) bool { return r.Float64() < p }

// Pick returns one of several.
func Pick[T any](r Random, of ...T) T { return of[r.IntN(len(of))] }

// Value returns a value of any kind, nested up to depth deep.
func (r Random) Value(depth int) Value {
	kinds := 6
	if depth <= 0 {
		kinds = 4
	}
	switch Kind(r.IntN(kinds)) {
	case Null:
		return Scalar(Null, "null")
	case Bool:
		return Scalar(Bool, Pick(r, "true", "false"))
	case Number:
		return r.Number()
	case String:
		return r.Quote(r.Text())
	case Array:
		v := Value{Kind: Array}
		for range r.IntN(4) {
			v.Items = append(v.Items, r.Value(depth-1))
		}
		return v
	default:
		return r.Object(depth)
	}
}

// Object returns an object with any members, nested up to depth deep.
func (r Random) Object(depth int) Value {
	v := Value{Kind: Object}
	for range r.IntN(5) {
		name := r.Quote(r.Text()).Text
		if _, taken := v.Find(Unquote(name)); taken && r.Plain {
			continue
		}
		v.Members = append(v.Members, Member{Name: name, Value: r.Value(depth - 1)})
		if !r.Plain && r.Chance(0.05) {
			v.Members = append(v.Members, Member{Name: name, Value: r.Value(depth - 1)})
		}
	}
	return v
}

// Number returns a number of any size and form.
func (r Random) Number() Value {
	if r.Chance(0.5) {
		return r.Integer()
	}
	return r.Fraction()
}

// Integer returns a number with an integer's value.
func (r Random) Integer() Value {
	var text string
	switch r.IntN(6) {
	case 0, 1, 2:
		text = strconv.Itoa(r.IntN(256))
	case 3:
		text = strconv.FormatInt(r.Int64N(1<<32)-1<<31, 10)
	case 4:
		text = Pick(r, "0", "1", "-1", "2147483647", "-2147483648")
	default:
		text = Pick(r, "2147483648", "-2147483649", "9007199254740993", "-62135596801", "253402300800",
			"9223372036854775807", "-9223372036854775808")
	}
	if !r.Plain && r.Chance(0.1) {
		text = Pick(r, "9223372036854775808", "-9223372036854775809", "18446744073709551616",
			"123456789012345678901234567890", "1.0", "1e2", "1E+0", "-0", "0e5", "-5.000", "1e30")
	}
	return Scalar(Number, text)
}

// Fraction returns a number that need not have an integer's value.
func (r Random) Fraction() Value {
	var text string
	switch r.IntN(5) {
	case 0, 1:
		text = strconv.FormatFloat(r.Float64(), 'g', -1, 64)
	case 2:
		text = strconv.FormatFloat(math.Ldexp(r.Float64()-0.5, r.IntN(2046)-1022), 'g', -1, 64)
	case 3:
		text = Pick(r, "0", "1", "2", "-2", "0.5", "-0.5", "1.5", "-9999.0", "1e-6", "1e-7", "1e21", "123456789012345680000")
	default:
		text = Pick(r, "5e-324", "-5e-324", "2.2250738585072011e-308", "2.2250738585072014e-308",
			"1e308", "1.7976931348623157e308", "-1.7976931348623157E+308")
	}
	if !r.Plain && r.Chance(0.2) {
		text = Pick(r, "-0", "-0.0", "0e-5", "1.50", "1E+0", "100e-2", "1e400", "-1e400", "1e-400",
			"0.1000000000000000055511151231257827021181583404541015625", "1.00000000000000000000000000000000000001",
			"0.30000000000000004", "123456789012345678901234567890.123456789")
	}
	return Scalar(Number, text)
}

// samples are words in many scripts, and strings that often reveal bugs.
var samples = []string{
	"hello", "The quick brown fox.", "naïve café, Straße, İstanbul", "Γειά σου Κόσμε", "Привет, мир", "Գրաբար",
	"שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "வணக்கம்", "สวัสดีชาวโลก", "ສະບາຍດີ", "မင်္ဂလာပါ", "გამარჯობა", "ሰላም ልዑል", "ᏣᎳᎩ",
	"你好，世界", "こんにちは世界", "안녕하세요", "ᠮᠣᠩᠭᠣᠯ", "𐌰𐌲𐌼 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𓀀𓂀 𠜎", "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪", "e\u0301 a\u0308\u0323", "\u202eright to left\u202c",
	`"quoted" \back\slash /slash/`, "<b>&amp;</b>", "a\tb\nc\rd", "\b\f\v", "\u0000", "a\u0000b", "\u0001\u001f\u007f\u0080\u009f",
	"\u2028\u2029", "\ufeff", "\ufffd", "\ufffe\uffff", "\U0010ffff", "\ue000\U000f0000", "\u00a0\u200b\u2060", "\ud7ff", "\U00010000",
	`{"a":[1,null]}`, "null", "true", "0", "-1.5e3", "[DONE]", "data: x\n\n", "\n", " ", "type", "extra_json", "../..", "%2e%00", "a.b[0]",
	"AAECAw==", "data:image/png;base64,iVBORw0KGgo=", "https://example.com/?q=ü&r=1#f", "gpt-5.4-mini", "auto", "text",
}

// Text returns a random text: empty, in any script, base64, any characters, or long.
func (r Random) Text() string {
	switch r.IntN(8) {
	case 0:
		return Pick(r, "", "", "a", "\u0000", " ")
	case 1:
		return Pick(r, samples...) + Pick(r, samples...) + Pick(r, samples...)
	case 2:
		data := make([]byte, r.IntN(20))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		return base64.StdEncoding.EncodeToString(data)
	case 3:
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteRune(r.character())
		}
		return b.String()
	case 4:
		if !r.Chance(0.05) {
			return Pick(r, samples...)
		}
		return r.LongText(1 + r.IntN(5000))
	default:
		return Pick(r, samples...)
	}
}

// LongText returns a string of about size bytes.
func (r Random) LongText(size int) string {
	unit := Pick(r, samples...) + string(r.character())
	return strings.Repeat(unit, 1+size/len(unit))
}

// character returns a Unicode character that is not a surrogate.
func (r Random) character() rune {
	for {
		c := r.Int32N(Pick[rune](r, 0x80, 0x800, 0x10000, utf8.MaxRune+1))
		if utf8.ValidRune(c) {
			return c
		}
	}
}

// LoneSurrogate returns a string with one half of a surrogate pair.
func (r Random) LoneSurrogate() Value {
	half := Pick(r, `\ud83d`, `\uDE00`, `\udbff`, `\uDFFF`, `\ude00\ud83d`, `\ud83d\u0041`, `\ud83dx`)
	return Scalar(String, `"`+Pick(r, "", "a", "é")+half+Pick(r, "", "b", `\n`)+`"`)
}

// Quote returns text as a JSON string in a random spelling: each character is literal or
// escaped.
func (r Random) Quote(text string) Value {
	escaped := Pick(r, 0, 0, 0.1, 1)
	b := []byte{'"'}
	for _, c := range text {
		switch {
		case c >= 0x20 && c != '"' && c != '\\' && !r.Chance(escaped):
			b = utf8.AppendRune(b, c)
		default:
			b = r.escape(b, c)
		}
	}
	return Scalar(String, string(append(b, '"')))
}

func (r Random) escape(b []byte, c rune) []byte {
	if i := strings.IndexRune("\"\\/\b\f\n\r\t", c); i >= 0 && r.Chance(0.8) {
		return append(b, '\\', `"\/bfnrt`[i])
	}
	units := []rune{c}
	if c > 0xFFFF {
		c -= 0x10000
		units = []rune{0xD800 + c>>10, 0xDC00 + c&0x3FF}
	}
	for _, unit := range units {
		digits := strconv.FormatInt(0x10000+int64(unit), 16)[1:]
		if r.Chance(0.3) {
			digits = strings.ToUpper(digits)
		}
		b = append(b, `\u`...)
		b = append(b, digits...)
	}
	return b
}

// Space returns white space, usually none.
func (r Random) Space() string {
	if r.Chance(0.8) {
		return ""
	}
	return Pick(r, " ", "\n", "\t", "\r\n", "  ")
}
