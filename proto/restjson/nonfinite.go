package restjson

import (
	"bytes"
	"math"
	"slices"
	"strconv"
)

// nonFiniteWords are the numbers that JSON cannot represent, as written by Python's
// json module and by Protobuf's JSON.
var nonFiniteWords = []string{"NaN", "Infinity", "-Infinity"}

// scanNonFinite consumes a non-finite number and returns its text. The number has a
// minus sign if i is after the current position. It returns nil for other
// text and if the decoder is not lenient.
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

// nonFiniteDouble reads NaN or an infinity, quoted or not.
func (d *Decoder) nonFiniteDouble(dst *float64) bool {
	var text []byte
	switch d.peek() {
	case 'N', 'I':
		text = d.scanNumber()
	case '"':
		text, _ = d.stringBytes()
	}
	if !slices.Contains(nonFiniteWords, string(text)) {
		return false
	}
	v, err := strconv.ParseFloat(string(text), 64)
	*dst = v
	return err == nil
}

// jsonText returns data[start:end] as valid JSON.
func (d *Decoder) jsonText(start, end int) string {
	if !d.nonFinite {
		return string(d.data[start:end])
	}
	return string(d.appendJSONText(nil, start, end))
}

// appendJSONText appends data[start:end] as valid JSON: it quotes non-finite
// numbers.
func (d *Decoder) appendJSONText(b []byte, start, end int) []byte {
	text := d.data[start:end]
	for d.nonFinite && len(text) > 0 {
		// The text is valid. Outside of strings, only these words have an N or an I.
		i := bytes.IndexAny(text, `"NI`)
		if i < 0 {
			break
		}
		next := i
		if text[i] == '"' {
			closed, _ := closingQuote(text, i+1)
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
		return &FieldError{"", "is a number that JSON cannot represent"}
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
