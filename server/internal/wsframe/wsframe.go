// Package wsframe reads the frames of a WebSocket (RFC 6455, section 5) from pieces of any
// size, in constant memory, and builds close frames.
package wsframe

import (
	"crypto/rand"
	"encoding/binary"
)

// Opcode is the opcode of a frame (RFC 6455, section 5.2).
type Opcode byte

// The opcodes used by this server.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
)

// IsControl reports whether the opcode belongs to a control frame. Control frames may be
// interleaved with the frames of a message.
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

// Bits of the first two bytes of a frame.
const (
	finalBit      = 0x80
	compressedBit = 0x40 // RFC 7692, section 6
	reservedBits  = 0x30
	opcodeBits    = 0x0f
	maskBit       = 0x80
	lengthBits    = 0x7f

	length16 = 126 // A length of 16 bits follows.
	length64 = 127 // A length of 64 bits follows.
	keySize  = 4
)

// Reader parses the frames in a stream. It does not validate them. The zero value is ready
// to use at the beginning of a stream. It is not safe for concurrent use.
type Reader struct {
	header     [2 + 8 + keySize]byte
	headerRead int // the number of header bytes that have been read
	inPayload  bool
	remaining  uint64 // the number of payload bytes that have not been read
	closed     bool
}

// Next reads from the beginning of b, up to the end of the current frame or of b. It
// returns the number of bytes read and the part of b that is payload. It reads at least one
// byte unless b is empty.
func (r *Reader) Next(b []byte) (n int, payload []byte) {
	if r.inPayload && r.remaining == 0 { // The previous frame has ended.
		r.headerRead, r.inPayload = 0, false
	}
	for size := r.headerSize(); r.headerRead < size; size = r.headerSize() {
		read := copy(r.header[r.headerRead:size], b[n:])
		if read == 0 {
			return n, nil
		}
		n += read
		r.headerRead += read
	}
	if !r.inPayload {
		r.inPayload, r.remaining = true, r.length()
	}
	payload = b[n:]
	if uint64(len(payload)) > r.remaining {
		payload = payload[:r.remaining]
	}
	r.remaining -= uint64(len(payload))
	r.closed = r.closed || r.remaining == 0 && r.Opcode() == Close
	return n + len(payload), payload
}

// AtBoundary reports whether the stream is between two frames, or at its beginning.
func (r *Reader) AtBoundary() bool { return r.headerRead == 0 || r.inPayload && r.remaining == 0 }

// Closed reports whether a complete close frame has been read.
func (r *Reader) Closed() bool { return r.closed }

// HasHeader reports whether the header of the current frame has been read. A frame that has
// ended is the current frame until the next call of Next. The methods below return
// properties of the current frame, and may only be called if its header has been read.
func (r *Reader) HasHeader() bool { return r.inPayload }

// Opcode returns the opcode.
func (r *Reader) Opcode() Opcode { return Opcode(r.header[0] & opcodeBits) }

// IsFinal reports whether the frame is the last of its message.
func (r *Reader) IsFinal() bool { return r.header[0]&finalBit != 0 }

// IsCompressed reports whether the frame begins a compressed message.
func (r *Reader) IsCompressed() bool { return r.header[0]&compressedBit != 0 }

// HasReservedBits reports whether the frame has reserved bits that neither RFC 6455 nor RFC
// 7692 defines.
func (r *Reader) HasReservedBits() bool { return r.header[0]&reservedBits != 0 }

// IsMasked reports whether the payload is masked.
func (r *Reader) IsMasked() bool { return r.header[1]&maskBit != 0 }

// Key returns the masking key of a masked frame. It is valid until the next call of Next.
func (r *Reader) Key() []byte { return r.header[r.headerRead-keySize : r.headerRead] }

// headerSize returns the size of the header, or of its first two bytes if those have not
// been read.
func (r *Reader) headerSize() int {
	if r.headerRead < 2 {
		return 2
	}
	size := 2
	switch r.header[1] & lengthBits {
	case length16:
		size += 2
	case length64:
		size += 8
	}
	if r.IsMasked() {
		size += keySize
	}
	return size
}

// length returns the length of the payload. The header must be complete.
func (r *Reader) length() uint64 {
	switch length := r.header[1] & lengthBits; length {
	case length16:
		return uint64(binary.BigEndian.Uint16(r.header[2:]))
	case length64:
		return binary.BigEndian.Uint64(r.header[2:])
	default:
		return uint64(length)
	}
}

// Mask masks or unmasks b in place, where b begins at the given offset in the payload.
func Mask(b, key []byte, offset uint64) {
	for i := range b {
		b[i] ^= key[(offset+uint64(i))%keySize]
	}
}

// StatusCode is the status code of a close frame (RFC 6455, section 7.4.1).
type StatusCode uint16

// The status codes that this server sends.
const (
	GoingAway       StatusCode = 1001
	PolicyViolation StatusCode = 1008
)

// NewClose returns a close frame with a status code and a reason of up to 123 bytes. Frames
// sent to a server must be masked.
func NewClose(code StatusCode, reason string, masked bool) []byte {
	payload := append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	frame := []byte{finalBit | byte(Close), byte(len(payload))}
	if masked {
		var key [keySize]byte
		_, _ = rand.Read(key[:]) // Read never returns an error.
		Mask(payload, key[:], 0)
		frame[1] |= maskBit
		frame = append(frame, key[:]...)
	}
	return append(frame, payload...)
}
