package usage

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// The first byte of a frame.
const (
	final      = 0x80
	compressed = 0x40
	opText     = 0x1
	opBinary   = 0x2
)

// clientFrame returns a masked frame.
func clientFrame(first byte, payload []byte) []byte {
	frame := []byte{first, 0x80 | 126}
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(payload)))
	key := []byte{1, 2, 3, 4}
	frame = append(frame, key...)
	for i, c := range payload {
		frame = append(frame, c^key[i%len(key)])
	}
	return frame
}

func TestMessageChecker_RejectsFramesThatServersReadDifferently(t *testing.T) {
	t.Parallel()
	forbidden, allowed := []byte(`{"session":{"model":"x"}}`), []byte(`{"type":"response.create"}`)
	text := func(payload []byte) []byte { return clientFrame(final|opText, payload) }
	for name, row := range map[string]struct {
		sent []byte
		ok   bool
	}{
		"a message":                        {text(allowed), true},
		"two messages, and a ping in one":  {bytes.Join([][]byte{clientFrame(opText, allowed[:3]), clientFrame(final|9, []byte("ping")), clientFrame(final, allowed[3:]), text(allowed)}, nil), true},
		"a close frame":                    {clientFrame(final|8, nil), true},
		"an empty last fragment":           {append(clientFrame(opText, allowed), clientFrame(final, nil)...), true},
		"another model":                    {text(forbidden), false},
		"another model in fragments":       {bytes.Join([][]byte{clientFrame(opText, forbidden[:9]), clientFrame(0, forbidden[9:]), clientFrame(final, nil)}, nil), false},
		"a message within another":         {bytes.Join([][]byte{clientFrame(opText, allowed[:3]), text(forbidden)}, nil), false},
		"a fragment without a message":     {clientFrame(final, forbidden), false},
		"a compressed message":             {clientFrame(final|opText|compressed, allowed), false},
		"a compressed fragment":            {append(clientFrame(opText, allowed[:3]), clientFrame(final|compressed, allowed[3:])...), false},
		"an unknown extension":             {clientFrame(final|opText|0x20, allowed), false},
		"an unknown opcode":                {clientFrame(final|3, forbidden), false},
		"no mask":                          {append([]byte{final | opText, byte(len(allowed))}, allowed...), false},
		"an empty message":                 {text(nil), false},
		"a byte order mark":                {text(append([]byte(byteOrderMark), forbidden...)), false},
		"another model in a later message": {append(text(allowed), text(forbidden)...), false},
	} {
		for _, size := range []int{1, 3, 4096} {
			m := NewMessageChecker(func(model string) bool { return model != "x" })
			var err error
			for rest := row.sent; len(rest) > 0 && err == nil; rest = rest[min(size, len(rest)):] {
				err = m.CheckSent(rest[:min(size, len(rest))])
			}
			if (err == nil) != row.ok {
				t.Errorf("%s, in pieces of %d: CheckSent() = %v, want allowed %t", name, size, err, row.ok)
			}
		}
	}
}

// FuzzMessageChecker checks that the result does not depend on the pieces.
func FuzzMessageChecker(f *testing.F) {
	f.Add(clientFrame(final|opText, []byte(`{"model":"x"}`)), 3)
	f.Add(append(clientFrame(opBinary, []byte(`{}`)), clientFrame(final, nil)...), 1)
	f.Add([]byte{0x81, 0x80}, 5)
	f.Fuzz(func(t *testing.T, sent []byte, size int) {
		allows := func(model string) bool { return model != "x" }
		whole := NewMessageChecker(allows).CheckSent(sent)
		m := NewMessageChecker(allows)
		var err error
		for rest := sent; len(rest) > 0 && err == nil; {
			n := min(max(size, 1), len(rest))
			err, rest = m.CheckSent(rest[:n]), rest[n:]
		}
		if (err == nil) != (whole == nil) {
			t.Errorf("in pieces of %d: CheckSent() = %v, want the result for one piece, %v", size, err, whole)
		}
	})
}
