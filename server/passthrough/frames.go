package passthrough

import (
	"crypto/rand"
	"encoding/binary"
)

// The parts of a frame's first bytes (RFC 6455 §5.2).
const (
	finalFrame  = 0x80
	opcodeBits  = 0x0f
	closeOpcode = 0x8
	maskedFrame = 0x80
	lengthBits  = 0x7f

	length16 = 126 // in place of a length that takes 16 bits
	length64 = 127 // the same for 64
	maskSize = 4
)

// goingAway is the status of a server that goes down (RFC 6455 §7.4.1).
const goingAway = 1001

// goodbye is the reason that goes with it.
const goodbye = "the server is shutting down"

// frames follows one direction of a WebSocket, to know where a frame ends. It
// looks at heads alone, and has no opinion on them.
type frames struct {
	head    [2 + 8 + maskSize]byte
	have    int    // bytes of the head that came
	missing uint64 // bytes of the payload that are to come
	closed  bool   // a close frame was whole
}

// between reports whether a frame may be put in.
func (f *frames) between() bool { return f.have == 0 }

// advance is told what comes next, and returns how much of it belongs to the
// frame that is under way, or begins.
func (f *frames) advance(b []byte) int {
	n := 0
	for size := f.headSize(); f.have < size; size = f.headSize() {
		taken := copy(f.head[f.have:size], b[n:])
		if taken == 0 {
			return n
		}
		n += taken
		if f.have += taken; f.have == f.headSize() {
			f.missing = f.length()
		}
	}
	taken := min(f.missing, uint64(len(b)-n))
	f.missing -= taken
	if f.missing == 0 {
		f.closed = f.closed || f.head[0]&opcodeBits == closeOpcode
		f.have = 0
	}
	return n + int(taken)
}

// headSize is how long the head is, as far as that is known.
func (f *frames) headSize() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & lengthBits {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if f.head[1]&maskedFrame != 0 {
		size += maskSize
	}
	return size
}

// length is the payload's, by a head that is whole.
func (f *frames) length() uint64 {
	switch short := f.head[1] & lengthBits; short {
	case length16:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case length64:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(short)
	}
}

// closeFrame says that this server goes down. What is sent to an upstream is
// masked, as all that a WebSocket's client sends (RFC 6455 §5.3).
func closeFrame(masked bool) []byte {
	payload := append(binary.BigEndian.AppendUint16(nil, goingAway), goodbye...)
	frame := []byte{finalFrame | closeOpcode, byte(len(payload))}
	if !masked {
		return append(frame, payload...)
	}
	var key [maskSize]byte
	_, _ = rand.Read(key[:]) // it never fails
	for i := range payload {
		payload[i] ^= key[i%maskSize]
	}
	frame[1] |= maskedFrame
	return append(append(frame, key[:]...), payload...)
}
