package restjson

import (
	"strconv"
	"unicode/utf8"
)

// maxPath is the maximum length of a path, whose names and depth the sender
// controls.
const maxPath = 200

// pathAt returns the path of the value at offset, such as `choices[0].message`,
// truncated if it is long. It parses the data again, which only errors need.
func pathAt(data []byte, offset int) string {
	d := Decoder{data: data[:min(offset, len(data))], lenient: true}
	d.skipPreamble()
	path := d.path(nil)
	if len(path) <= maxPath {
		return string(path)
	}
	end := maxPath
	for !utf8.RuneStart(path[end]) {
		end--
	}
	return string(path[:end]) + "…"
}

// path appends the path of the value in which the data ends.
func (d *Decoder) path(p []byte) []byte {
	switch d.peek() {
	case '{':
		var o ObjectReader
		d.Object(&o)
		for d.Next(&o) {
			n := len(p)
			p = appendPathName(p, d.Key(&o))
			if p = d.path(p); d.err != "" || d.pos >= len(d.data) {
				return p
			}
			p = p[:n]
		}
	case '[':
		var a arrayReader
		d.openArray(&a)
		for i := 0; d.nextItem(&a); i++ {
			n := len(p)
			p = append(p, '[')
			p = strconv.AppendInt(p, int64(i), 10)
			p = append(p, ']')
			if p = d.path(p); d.err != "" || d.pos >= len(d.data) {
				return p
			}
			p = p[:n]
		}
	default:
		d.skip()
	}
	return p
}

// appendPathName appends the name of a member to a path: `.name`, or `["a name"]`
// if it is not an identifier.
func appendPathName(p, name []byte) []byte {
	switch {
	case name == nil: // it has a lone surrogate
		return append(p, "[?]"...)
	case !isIdentifier(name):
		p = append(p, '[')
		p = strconv.AppendQuote(p, string(name))
		return append(p, ']')
	case len(p) > 0:
		p = append(p, '.')
	}
	return append(p, name...)
}

func isIdentifier(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(name) > 0
}
