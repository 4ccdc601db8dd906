package wsframe_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/wsframe"
)

func FuzzReader_FindsTheSameFramesInAnyPieces(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x88\x02\x03\xe9"), uint8(1))
	f.Add([]byte("\x01\x85keyshello\x89\x00\x80\x80keys"), uint8(3))
	f.Add(slices.Concat([]byte("\x82\x7e\x01\x00"), make([]byte, 256), []byte("\x88\x80keys")), uint8(7))
	f.Add(slices.Concat([]byte("\xc2\xff\x00\x00\x00\x00\x00\x00\x00\x02keysab")), uint8(2))
	f.Add([]byte("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffab"), uint8(4))
	f.Fuzz(func(t *testing.T, sent []byte, size uint8) {
		read := func(size int) (ends []int, payloads []byte, closed bool) {
			var frames wsframe.Reader
			at := 0
			for piece := range slices.Chunk(sent, size) {
				for len(piece) > 0 {
					n, payload := frames.Next(piece)
					if n <= 0 || n > len(piece) {
						t.Fatalf("Next read %d bytes of %d", n, len(piece))
					}
					payloads = append(payloads, payload...)
					piece = piece[n:]
					if at += n; frames.AtBoundary() {
						ends = append(ends, at)
					}
				}
			}
			return ends, payloads, frames.Closed()
		}
		ends, payloads, closed := read(max(len(sent), 1))
		gotEnds, gotPayloads, gotClosed := read(int(size) + 1)
		if !slices.Equal(gotEnds, ends) || !bytes.Equal(gotPayloads, payloads) || gotClosed != closed {
			t.Errorf("in pieces: %v %q %v, at once: %v %q %v", gotEnds, gotPayloads, gotClosed, ends, payloads, closed)
		}
	})
}

func TestReader_FindsTheEndOfAFrame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sent string
		end        int // -1 for an incomplete frame
		closed     bool
	}{
		{"text", "\x81\x02hi\x81", 4, false},
		{"empty payload", "\x81\x00\x81", 2, false},
		{"masked", "\x81\x82keyshi\x81", 8, false},
		{"16-bit length", "\x82\x7e\x00\x02hi\x81", 6, false},
		{"64-bit length, masked", "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x02keyshi\x81", 16, false},
		{"half a header", "\x81", -1, false},
		{"half a length", "\x82\x7e\x00", -1, false},
		{"half a payload", "\x81\x02h", -1, false},
		{"ping", "\x89\x00", 2, false},
		{"close", "\x88\x02\x03\xe8", 4, true},
		{"close without a status", "\x88\x80keys", 6, true},
		{"half a close", "\x88\x02\x03", -1, false},
	} {
		var frames wsframe.Reader
		n, _ := frames.Next([]byte(test.sent))
		if !frames.AtBoundary() {
			n = -1
		}
		if n != test.end || frames.Closed() != test.closed {
			t.Errorf("%s: end %d, closed %v, want %d, %v", test.name, n, frames.Closed(), test.end, test.closed)
		}
	}
}

func TestNewClose_HasStatusAndReason(t *testing.T) {
	t.Parallel()
	plain := wsframe.NewClose(wsframe.GoingAway, "the server is shutting down", false)
	if want := "\x88\x1d\x03\xe9the server is shutting down"; string(plain) != want {
		t.Errorf("the frame is %q, want %q", plain, want)
	}
	masked := wsframe.NewClose(wsframe.GoingAway, "the server is shutting down", true)
	payload := bytes.Clone(masked[6:])
	wsframe.Mask(payload, masked[2:6], 0)
	if masked[1] != 0x80|0x1d || !bytes.Equal(payload, plain[2:]) {
		t.Errorf("the masked frame is %q", masked)
	}
}
