package usage

import (
	"encoding/binary"
	"slices"
	"testing"
)

// messagesOf returns the text messages in pieces of a stream.
func messagesOf(pieces ...string) []string {
	var (
		messages []string
		message  []byte
	)
	f := messageReader{
		begin: func(compressed bool) {
			message = message[:0]
			if compressed {
				message = append(message, "compressed: "...)
			}
		},
		data: func(p []byte) { message = append(message, p...) },
		end:  func() { messages = append(messages, string(message)) },
	}
	for _, piece := range pieces {
		f.write([]byte(piece))
	}
	return messages
}

// reference returns the text messages of a complete stream, parsed according to RFC 6455 §5.2.
func reference(b []byte) []string {
	var (
		messages []string
		message  string
		inText   bool
	)
	for len(b) >= 2 {
		first, second := b[0], b[1]
		b = b[2:]
		size := uint64(second & 127)
		switch {
		case second >= 128:
			return messages
		case size == 126 && len(b) >= 2:
			size, b = uint64(binary.BigEndian.Uint16(b)), b[2:]
		case size == 127 && len(b) >= 8:
			size, b = binary.BigEndian.Uint64(b), b[8:]
		case size >= 126:
			return messages
		}
		if first&0x30 != 0 || uint64(len(b)) < size {
			return messages
		}
		payload := string(b[:size])
		b = b[size:]
		opcode := first & 15
		if opcode >= 8 {
			continue
		}
		if opcode != 0 {
			inText, message = opcode == 1, ""
			if first&0x40 != 0 {
				message = "compressed: "
			}
		}
		message += payload
		if first >= 128 && inText {
			messages = append(messages, message)
			inText = false
		}
	}
	return messages
}

// FuzzMessageReader compares the messages of a stream in pieces with those of reference.
func FuzzMessageReader(f *testing.F) {
	for _, text := range []string{
		"\x81\x05Hello", "\x01\x03Hel\x89\x02hi\x80\x02lo", "\xc1\x03abc\x82\x01x\x81\x00", "\x01\x7e\x00\x01a\x80\x7f\x00\x00\x00\x00\x00\x00\x00\x02bc",
		"\x81\x85\x00\x00\x00\x00Hello", "\x91\x01a\x81\x01b", "\x80\x01a\x81\x01b", "\x88\x02\x03\xe8", "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffa",
	} {
		f.Add([]byte(text), []byte{1, 2})
	}
	f.Fuzz(func(t *testing.T, text, sizes []byte) {
		if got, want := messagesOf(cut(string(text), sizes)...), reference(text); !slices.Equal(got, want) {
			t.Fatalf("%q: got messages %q, want %q", text, got, want)
		}
	})
}
