package restjson

import (
	"strconv"
	"unicode/utf8"
)

// maxPath bounds a path, whose names and depth are the sender's.
const maxPath = 200

// pathAt returns the path of the value that holds the byte at offset, such as
// `choices[0].message`, cut where it gets long. It reads the text once more,
// which only errors pay for.
func pathAt(data []byte, offset int) string {
	d := Decoder{data: data[:min(offset, len(data))], lenient: true}
	d.begin()
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

// path appends the path of the value at which the text ends, if it does.
func (d *Decoder) path(p []byte) []byte {
	switch d.peek() {
	case '{':
		var o Object
		d.Object(&o)
		for d.Next(&o) {
			n := len(p)
			p = appendName(p, d.Key(&o))
			if p = d.path(p); d.err != "" || d.pos >= len(d.data) {
				return p
			}
			p = p[:n]
		}
	case '[':
		var a array
		d.open(&a)
		for i := 0; d.elem(&a); i++ {
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

// appendName appends a member's name to a path: `.name`, and `["a name"]` where
// it is no word.
func appendName(p, name []byte) []byte {
	switch {
	case name == nil: // It has a lone surrogate.
		return append(p, "[?]"...)
	case !isWord(name):
		p = append(p, '[')
		p = strconv.AppendQuote(p, string(name))
		return append(p, ']')
	case len(p) > 0:
		p = append(p, '.')
	}
	return append(p, name...)
}

func isWord(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(name) > 0
}
