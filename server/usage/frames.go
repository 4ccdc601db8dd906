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
	opBinary       = 2
	maskSize       = 4
)

// frames reads what one side of a WebSocket sends (RFC 6455 §5), in pieces of any
// size and in constant memory, for its text messages; of a client also for its binary
// messages.
type frames struct {
	fromClient bool // what is sent is masked

	begin func(compressed bool) // is told that a text message begins
	data  func(piece []byte)    // is given it, as it comes
	end   func()                // is told that it is over

	head    [2 + 8 + maskSize]byte
	have    int    // bytes of the head that came
	missing uint64 // bytes of the payload that are to come
	inText  bool   // the message under way is text
	open    bool   // a message is under way
	masked  uint8  // bytes of the payload that came, modulo the mask's length
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
			f.payload(p[:n])
		}
		p = p[n:]
		if f.missing -= n; f.missing == 0 {
			f.endFrame()
		}
	}
}

// payload is told a piece of a message.
func (f *frames) payload(p []byte) {
	if !f.fromClient {
		f.data(p)
		return
	}
	key := f.head[f.have-maskSize : f.have]
	var plain [512]byte
	for len(p) > 0 {
		n := copy(plain[:], p)
		for i := range plain[:n] {
			plain[i] ^= key[f.masked]
			f.masked = (f.masked + 1) % maskSize
		}
		f.data(plain[:n])
		p = p[n:]
	}
}

// between reports whether no frame is under way.
func (f *frames) between() bool { return f.have == 0 }

// headSize is how long the head is, as far as that is known. What a server sends has no
// mask, and what a client sends has one (§5.1).
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
	if f.fromClient {
		size += maskSize
	}
	return size
}

func (f *frames) beginFrame() {
	first := f.head[0]
	f.broken = f.head[1]&maskedBit != 0 != f.fromClient || first&unknownBits != 0
	switch short := f.head[1] & lengthBits; short {
	case length16:
		f.missing = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case length64:
		f.missing = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.missing = uint64(short)
	}
	f.masked = 0
	if opcode := first & opcodeBits; opcode&controlBit == 0 {
		f.beginData(opcode, first&compressedBit != 0)
	}
	if f.missing == 0 && !f.broken {
		f.endFrame()
	}
}

// beginData begins a frame of a message.
func (f *frames) beginData(opcode byte, compressed bool) {
	continues := opcode == opContinuation
	if f.fromClient {
		f.broken = f.broken || f.open != continues || continues && compressed || opcode > opBinary
	}
	f.open = true
	if continues {
		return
	}
	f.inText = opcode == opText || f.fromClient && opcode == opBinary
	if f.inText && !f.broken {
		f.begin(compressed)
	}
}

func (f *frames) endFrame() {
	f.have = 0
	if f.head[0]&controlBit != 0 || f.head[0]&finalBit == 0 {
		return
	}
	f.open = false
	if f.inText {
		f.inText = false
		f.end()
	}
}
