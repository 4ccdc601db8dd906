package usage

import "encoding/binary"

// The parts of a frame's first bytes (RFC 6455 §5.2).
const (
	finalBit       = 0x80
	compressedBit  = 0x40 // RFC 7692 §6
	unknownBits    = 0x30
	controlBit     = 0x08
	opcodeBits     = 0x0f
	maskedBit      = 0x80
	lengthBits     = 0x7f
	opContinuation = 0
	opText         = 1
	length16       = 126 // in place of a length that takes 16 bits
	length64       = 127 // the same for 64
)

// frames reads what the server of a WebSocket sends (RFC 6455 §5), in pieces of
// any size and in constant memory, for its text messages.
type frames struct {
	begin func(compressed bool) // is told that a text message begins
	data  func(piece []byte)    // is given it, as it comes
	end   func()                // is told that it is over

	head    [2 + 8]byte
	have    int    // bytes of the head that came
	missing uint64 // bytes of the payload that are to come
	inText  bool   // the message under way is text
	broken  bool   // what came is no WebSocket's
}

// write reads the next piece.
func (f *frames) write(p []byte) {
	for len(p) > 0 && !f.broken {
		size := f.headSize()
		if f.have < size {
			n := copy(f.head[f.have:size], p)
			f.have += n
			p = p[n:]
			if f.have == f.headSize() {
				f.beginFrame()
			}
			continue
		}
		n := min(f.missing, uint64(len(p)))
		if f.inText && f.head[0]&controlBit == 0 {
			f.data(p[:n])
		}
		p = p[n:]
		if f.missing -= n; f.missing == 0 {
			f.endFrame()
		}
	}
}

// headSize is how long the head is, as far as that is known. What a server sends
// has no mask (§5.1).
func (f *frames) headSize() int {
	if f.have < 2 {
		return 2
	}
	switch f.head[1] & lengthBits {
	case length16:
		return 2 + 2
	case length64:
		return 2 + 8
	default:
		return 2
	}
}

func (f *frames) beginFrame() {
	first := f.head[0]
	f.broken = f.head[1]&maskedBit != 0 || first&unknownBits != 0
	switch short := f.head[1] & lengthBits; short {
	case length16:
		f.missing = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case length64:
		f.missing = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.missing = uint64(short)
	}
	if opcode := first & opcodeBits; opcode != opContinuation && opcode&controlBit == 0 {
		f.inText = opcode == opText
		if f.inText && !f.broken {
			f.begin(first&compressedBit != 0)
		}
	}
	if f.missing == 0 && !f.broken {
		f.endFrame()
	}
}

func (f *frames) endFrame() {
	f.have = 0
	if f.head[0]&controlBit != 0 || f.head[0]&finalBit == 0 {
		return
	}
	if f.inText {
		f.inText = false
		f.end()
	}
}
