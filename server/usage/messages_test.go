package usage

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// clientFrame is a frame as a client sends it.
func clientFrame(first byte, payload []byte) []byte {
	frame := []byte{first, maskedBit | length16}
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	key := []byte{1, 2, 3, 4}
	frame = append(frame, key...)
	for i, c := range payload {
		frame = append(frame, c^key[i%maskSize])
	}
	return frame
}

func TestMessages_RefuseFramesThatServersReadDifferently(t *testing.T) {
	t.Parallel()
	forbidden, allowed := []byte(`{"session":{"model":"x"}}`), []byte(`{"type":"response.create"}`)
	text := func(payload []byte) []byte { return clientFrame(finalBit|opText, payload) }
	for name, row := range map[string]struct {
		sent []byte
		ok   bool
	}{
		"a message":                        {text(allowed), true},
		"two, and a ping in the middle":    {bytes.Join([][]byte{clientFrame(opText, allowed[:3]), clientFrame(finalBit|9, []byte("ping")), clientFrame(finalBit, allowed[3:]), text(allowed)}, nil), true},
		"a close frame":                    {clientFrame(finalBit|8, nil), true},
		"an empty last fragment":           {append(clientFrame(opText, allowed), clientFrame(finalBit, nil)...), true},
		"another model":                    {text(forbidden), false},
		"another model in fragments":       {bytes.Join([][]byte{clientFrame(opText, forbidden[:9]), clientFrame(0, forbidden[9:]), clientFrame(finalBit, nil)}, nil), false},
		"a message within another":         {bytes.Join([][]byte{clientFrame(opText, allowed[:3]), text(forbidden)}, nil), false},
		"a fragment of nothing":            {clientFrame(finalBit, forbidden), false},
		"a message that is compressed":     {clientFrame(finalBit|opText|compressedBit, allowed), false},
		"a fragment that is compressed":    {append(clientFrame(opText, allowed[:3]), clientFrame(finalBit|compressedBit, allowed[3:])...), false},
		"an extension that nobody knows":   {clientFrame(finalBit|opText|0x20, allowed), false},
		"an opcode that nobody knows":      {clientFrame(finalBit|3, forbidden), false},
		"no mask":                          {append([]byte{finalBit | opText, byte(len(allowed))}, allowed...), false},
		"an empty message":                 {text(nil), false},
		"a byte order mark":                {text(append([]byte(byteOrderMark), forbidden...)), false},
		"another model behind another one": {append(text(allowed), text(forbidden)...), false},
	} {
		for _, size := range []int{1, 3, 4096} {
			m := NewMessages(func(model string) bool { return model != "x" })
			var err error
			for rest := row.sent; len(rest) > 0 && err == nil; rest = rest[min(size, len(rest)):] {
				err = m.Sent(rest[:min(size, len(rest))])
			}
			if (err == nil) != row.ok {
				t.Errorf("%s, in pieces of %d: %v, want allowed %t", name, size, err, row.ok)
			}
		}
	}
}

// FuzzMessages sends any bytes: in pieces they are judged as in one.
func FuzzMessages(f *testing.F) {
	f.Add(clientFrame(finalBit|opText, []byte(`{"model":"x"}`)), 3)
	f.Add(append(clientFrame(opBinary, []byte(`{}`)), clientFrame(finalBit, nil)...), 1)
	f.Add([]byte{0x81, 0x80}, 5)
	f.Fuzz(func(t *testing.T, sent []byte, size int) {
		allows := func(model string) bool { return model != "x" }
		whole := NewMessages(allows).Sent(sent)
		m := NewMessages(allows)
		var err error
		for rest := sent; len(rest) > 0 && err == nil; {
			n := min(max(size, 1), len(rest))
			err, rest = m.Sent(rest[:n]), rest[n:]
		}
		if (err == nil) != (whole == nil) {
			t.Errorf("in one it is %v, and in pieces of %d %v", whole, size, err)
		}
	})
}
