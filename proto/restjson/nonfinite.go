package restjson

import (
	"bytes"
	"math"
	"slices"
	"strconv"
)

// nonFiniteWords are the numbers that JSON has no way to write, as Python's json
// module and Protobuf's JSON spell them.
var nonFiniteWords = []string{"NaN", "Infinity", "-Infinity"}

// scanNonFinite moves past the number without digits that begins at the
// decoder's place, with a minus sign if i is beyond that place, and returns its
// text. It returns nil if there is none, or if the text has to be JSON.
func (d *Decoder) scanNonFinite(i int) []byte {
	if !d.lenient {
		return nil
	}
	for _, word := range nonFiniteWords {
		text := d.data[d.pos:min(d.pos+len(word), len(d.data))]
		if string(text) == word && len(word) > i-d.pos {
			d.pos += len(word)
			d.nonFinite = true
			return text
		}
	}
	return nil
}

// nonFiniteDouble reads NaN or an infinity, as a token or in quotes.
func (d *Decoder) nonFiniteDouble(dst *float64) bool {
	var text []byte
	switch d.peek() {
	case 'N', 'I':
		text = d.scanNumber()
	case '"':
		text, _ = d.text()
	}
	if !slices.Contains(nonFiniteWords, string(text)) {
		return false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	*dst = v
	return err == nil
}

// kept returns the text of the values in data[start:end], as JSON.
func (d *Decoder) kept(start, end int) string {
	if !d.nonFinite {
		return string(d.data[start:end])
	}
	return string(d.appendKept(nil, start, end))
}

// appendKept appends the text of the values in data[start:end], as JSON: numbers
// that JSON has no way to write are in quotes.
func (d *Decoder) appendKept(b []byte, start, end int) []byte {
	text := d.data[start:end]
	for d.nonFinite && len(text) > 0 {
		// The text is valid: outside of strings, only these words have an N or an I.
		i := bytes.IndexAny(text, `"NI`)
		if i < 0 {
			break
		}
		next := i
		if text[i] == '"' {
			closed, _ := closing(text, i+1)
			next = closed + 1
			b = append(b, text[:next]...)
		} else {
			next += len("NaN")
			if text[i] == 'I' {
				next = i + len("Infinity")
			}
			if i > 0 && text[i-1] == '-' {
				i--
			}
			b = append(b, text[:i]...)
			b = append(b, '"')
			b = append(b, text[i:next]...)
			b = append(b, '"')
		}
		text = text[next:]
	}
	return append(b, text...)
}

// nonFinite writes NaN or an infinity.
func (e *Encoder) nonFinite(v float64) error {
	if !e.full {
		return &FieldError{"", "is no number that JSON can express"}
	}
	word := "NaN"
	switch {
	case math.IsInf(v, 1):
		word = "Infinity"
	case math.IsInf(v, -1):
		word = "-Infinity"
	}
	e.Raw(`"` + word + `"`)
	return nil
}
