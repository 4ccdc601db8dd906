package restjson

import "encoding/binary"

// memberOrder predicts the names of an object's members from the order of the
// previous message. A sender writes its messages alike, and comparing a name costs
// less than finding its end.
type memberOrder struct {
	names [64]memberName // a ring
	next  uint
}

// memberName is a name in its usual form: `"name":`, in ASCII without escapes and
// white space.
type memberName struct {
	text [4]uint64 // its bytes, little-endian
	mask [4]uint64 // the bits in use
	size int
}

// maxNameSize is the maximum size of a predicted name, with quotes and colon.
const maxNameSize = 32

// expected returns the size of the name at i if it is the predicted one, else 0.
func (o *memberOrder) expected(data []byte, i int) int {
	if o == nil || i > len(data)-maxNameSize {
		return 0
	}
	text := data[i : i+maxNameSize]
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

// learn records a name that was not predicted.
func (o *memberOrder) learn(name []byte) {
	if o == nil || len(name) > maxNameSize {
		return
	}
	var text [maxNameSize]byte
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
