package restjson

import "encoding/binary"

// order has the names of the last message's members, in the order in which they
// came. The next message mostly has the same ones, as a sender writes all alike:
// to compare a name costs less than to look for its end.
type order struct {
	names [64]memberName // the first ones again after the last
	next  uint
}

// memberName is a name as it is mostly written: `"name":`, without escapes,
// characters beyond ASCII, and white space.
type memberName struct {
	text [4]uint64 // its bytes, little-endian
	mask [4]uint64 // the bits that are used
	size int
}

// maxName is the size of the longest name that is kept, with quotes and colon.
const maxName = 32

// expected returns the size of the name that stands at i, if it is the one that
// came at this place in the message before, and 0 for another one.
func (o *order) expected(data []byte, i int) int {
	if o == nil || i > len(data)-maxName {
		return 0
	}
	text := data[i : i+maxName]
	name := &o.names[o.next%uint(len(o.names))]
	differ := (binary.LittleEndian.Uint64(text)^name.text[0])&name.mask[0] |
		(binary.LittleEndian.Uint64(text[8:])^name.text[1])&name.mask[1] |
		(binary.LittleEndian.Uint64(text[16:])^name.text[2])&name.mask[2] |
		(binary.LittleEndian.Uint64(text[24:])^name.text[3])&name.mask[3]
	if differ != 0 || name.size == 0 {
		return 0
	}
	o.next++
	return name.size
}

// learn keeps a name that was not expected.
func (o *order) learn(name []byte) {
	if o == nil || len(name) > maxName {
		return
	}
	var text [maxName]byte
	copy(text[:], name)
	kept := &o.names[o.next%uint(len(o.names))]
	for i := range kept.text {
		used := 8 * min(max(len(name)-8*i, 0), 8)
		kept.text[i] = binary.LittleEndian.Uint64(text[8*i:])
		kept.mask[i] = 1<<used - 1
	}
	kept.size = len(name)
	o.next++
}
