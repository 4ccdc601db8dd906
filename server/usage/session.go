package usage

import (
	"io"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// session is what is known of a WebSocket, in which a model answers many times.
type session struct {
	compression compression
	compressed  bool              // the message under way is
	left        int               // how much may be decoded of it
	bounds      *inflation.Bounds // of what is decoded; nil if nothing is

	sum  Usage // of the answers that told
	told bool  // one did
}

// compression is what the sides agreed on for messages (RFC 7692 §7).
type compression uint8

const (
	compressionNone compression = iota
	compressionKept             // a message may refer to those before it
	compressionAnew             // each begins anew
)

// compressionOf tells by the Sec-WebSocket-Extensions of a response.
func compressionOf(values []string) compression {
	for _, value := range values {
		for extension := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(extension, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "permessage-deflate") {
				continue
			}
			for each := range strings.SplitSeq(parameters, ";") {
				if strings.EqualFold(strings.TrimSpace(each), "server_no_context_takeover") {
					return compressionAnew
				}
			}
			return compressionKept
		}
	}
	return compressionNone
}

// messageEnd is what a sender leaves out at the end of each message (RFC 7692
// §7.2.1).
var messageEnd = []byte{0x00, 0x00, 0xff, 0xff}

func (m *meter) beginMessage(compressed bool) {
	s := &m.session
	s.compressed, s.left = compressed, maxDecoded
	if s.bounds != nil {
		s.bounds.Reset()
	}
	switch {
	case !compressed || m.coded != nil || m.opaque:
	case s.compression == compressionNone:
		m.opaque = true
	default:
		m.coded = newInflater(s, m.scanner.write)
	}
}

// newInflater returns a decoder of messages, which writes to sink.
func newInflater(s *session, sink func([]byte)) *decoder {
	d, bounds := &decoder{}, new(inflation.Bounds)
	s.bounds = bounds
	d.pump = newPump(func(r io.Reader) {
		inflater, err := bounds.Reader(r, func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil })
		if err != nil {
			return
		}
		defer inflater.Close()
		drain(inflater, func(p []byte) bool {
			d.decoded += int64(len(p))
			if s.left -= len(p); s.left < 0 {
				return false
			}
			sink(p)
			return true
		})
	})
	return d
}

func (m *meter) messageData(p []byte) {
	switch {
	case !m.session.compressed:
		m.scanner.write(p)
	case m.opaque:
		m.bytes += int64(len(p))
	case !m.coded.write(p):
		m.close()
	}
}

func (m *meter) endMessage() {
	if m.session.compressed && m.coded != nil {
		alive := m.coded.write(messageEnd)
		if anew := m.session.compression == compressionAnew; anew || !alive {
			m.close()
			m.opaque = !anew
		}
	}
	m.event()
	m.endText()
	m.endAnswer()
}

// endAnswer adds up what the message told, if it did. What was said up to there
// needs no guess any more.
func (m *meter) endAnswer() {
	told, ok := parse(m.scanner.usage)
	m.scanner.usage = m.scanner.usage[:0]
	if ok {
		m.session.sum, m.session.told = m.session.sum.plus(told), true
		m.text, m.spoken, m.bytes = 0, 0, 0
	}
}

// sessionUsage is the sum of what was told, and a guess for what was said since.
func (m *meter) sessionUsage() Usage {
	since := m.length()
	if m.session.told && since == 0 {
		return m.session.sum
	}
	return m.session.sum.plus(estimate(0, since))
}
