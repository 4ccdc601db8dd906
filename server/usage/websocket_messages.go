package usage

import "github.com/openai-connect/openai-connect/server/internal/wsframe"

// messageReader reads the text messages that one side of a WebSocket sends, in pieces of
// any size and in constant memory. It also reads the binary messages of a client.
type messageReader struct {
	fromClient bool // the frames are masked

	begin func(compressed bool)
	data  func(piece []byte)
	end   func()

	frames    wsframe.Reader
	inFrame   bool   // the header of the current frame has been read
	offset    uint64 // the position in the payload of a masked frame
	inMessage bool
	isText    bool // the current message is read
	invalid   bool // the stream violates the protocol; the rest is ignored
}

// write reads the next piece.
func (m *messageReader) write(p []byte) {
	for len(p) > 0 && !m.invalid {
		n, payload := m.frames.Next(p)
		p = p[n:]
		if !m.frames.HasHeader() {
			continue
		}
		if !m.inFrame {
			m.inFrame, m.offset = true, 0
			m.beginFrame()
		}
		if m.isText && !m.frames.Opcode().IsControl() && !m.invalid {
			m.payload(payload)
		}
		if m.frames.AtBoundary() {
			m.inFrame = false
			m.endFrame()
		}
	}
}

// payload reads a piece of a message.
func (m *messageReader) payload(p []byte) {
	if !m.fromClient {
		if len(p) > 0 {
			m.data(p)
		}
		return
	}
	var plain [512]byte
	for len(p) > 0 {
		n := copy(plain[:], p)
		wsframe.Mask(plain[:n], m.frames.Key(), m.offset)
		m.offset += uint64(n)
		m.data(plain[:n])
		p = p[n:]
	}
}

// atBoundary reports whether the stream is between two frames.
func (m *messageReader) atBoundary() bool { return m.frames.AtBoundary() && !m.invalid }

// beginFrame checks the header of a frame, which may begin a message. Only the frames of
// clients are masked (RFC 6455, section 5.1).
func (m *messageReader) beginFrame() {
	opcode := m.frames.Opcode()
	m.invalid = m.frames.IsMasked() != m.fromClient || m.frames.HasReservedBits()
	if opcode.IsControl() {
		return
	}
	continues := opcode == wsframe.Continuation
	if m.fromClient {
		m.invalid = m.invalid || m.inMessage != continues || continues && m.frames.IsCompressed() || opcode > wsframe.Binary
	}
	m.inMessage = true
	if continues {
		return
	}
	m.isText = opcode == wsframe.Text || m.fromClient && opcode == wsframe.Binary
	if m.isText && !m.invalid {
		m.begin(m.frames.IsCompressed())
	}
}

// endFrame ends the message if the frame is its last one.
func (m *messageReader) endFrame() {
	if m.invalid || m.frames.Opcode().IsControl() || !m.frames.IsFinal() {
		return
	}
	m.inMessage = false
	if m.isText {
		m.isText = false
		m.end()
	}
}
