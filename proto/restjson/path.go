package restjson

import "strconv"

// pathAt returns the path of the value that holds the byte at offset, such as
// `choices[0].message`. It reads the text once more, which only errors pay for.
func pathAt(data []byte, offset int) string {
	d := Decoder{data: data[:min(offset, len(data))]}
	d.space()
	return string(d.path(nil))
}

// path appends the path of the value at which the text ends, if it does.
func (d *Decoder) path(p []byte) []byte {
	switch d.peek() {
	case '{':
		o, _ := d.Object()
		for d.Next(&o) {
			n := len(p)
			if n > 0 {
				p = append(p, '.')
			}
			p = append(p, o.Key...)
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
