package passthrough

import (
	"bytes"
	"slices"
	"testing"
)

// However a stream of frames is cut into pieces, the same ends are found.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x88\x02\x03\xe9"), uint8(1))
	f.Add([]byte("\x01\x85keyshello\x89\x00\x80\x80keys"), uint8(3))
	f.Add(slices.Concat([]byte("\x82\x7e\x01\x00"), make([]byte, 256), []byte("\x88\x80keys")), uint8(7))
	f.Add(slices.Concat([]byte("\xc2\xff\x00\x00\x00\x00\x00\x00\x00\x02keysab")), uint8(2))
	f.Add([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffab"), uint8(4))
	f.Fuzz(func(t *testing.T, sent []byte, size uint8) {
		ends := func(size int) (ends []int, closed bool) {
			var position frames
			at := 0
			for piece := range slices.Chunk(sent, size) {
				for len(piece) > 0 {
					n := position.advance(piece)
					if n <= 0 || n > len(piece) {
						t.Fatalf("took %d bytes of %d", n, len(piece))
					}
					piece = piece[n:]
					if at += n; position.between() {
						ends = append(ends, at)
					}
				}
			}
			return ends, position.closed
		}
		whole, closed := ends(max(len(sent), 1))
		pieces, closedToo := ends(int(size) + 1)
		if !slices.Equal(whole, pieces) || closed != closedToo {
			t.Errorf("at once: %v %v, in pieces: %v %v", whole, closed, pieces, closedToo)
		}
	})
}

func TestEndsOfFrames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sent string
		ends       int // of the first frame; -1 for one that is not whole
		closed     bool
	}{
		{"a text", "\x81\x02hi\x81", 4, false},
		{"an empty one", "\x81\x00\x81", 2, false},
		{"a masked one", "\x81\x82keyshi\x81", 8, false},
		{"with 16 bits of length", "\x82\x7e\x00\x02hi\x81", 6, false},
		{"with 64 bits of length, masked", "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x02keyshi\x81", 16, false},
		{"half a head", "\x81", -1, false},
		{"half a length", "\x82\x7e\x00", -1, false},
		{"half a payload", "\x81\x02h", -1, false},
		{"a ping", "\x89\x00", 2, false},
		{"a close", "\x88\x02\x03\xe8", 4, true},
		{"a close without a status", "\x88\x80keys", 6, true},
		{"half a close", "\x88\x02\x03", -1, false},
	} {
		var position frames
		n := position.advance([]byte(test.sent))
		if !position.between() {
			n = -1
		}
		if n != test.ends || position.closed != test.closed {
			t.Errorf("%s ends at %d, closed: %v, want %d, %v", test.name, n, position.closed, test.ends, test.closed)
		}
	}
}

func TestGoodbyes(t *testing.T) {
	t.Parallel()
	plain := closeFrame(false)
	if want := "\x88\x1d\x03\xe9the server is shutting down"; string(plain) != want {
		t.Errorf("to clients: %q, want %q", plain, want)
	}
	masked := closeFrame(true)
	key, payload := masked[2:6], masked[6:]
	for i := range payload {
		payload[i] ^= key[i%len(key)]
	}
	if masked[1] != 0x80|0x1d || !bytes.Equal(payload, plain[2:]) {
		t.Errorf("to upstreams: %q", masked)
	}
}
