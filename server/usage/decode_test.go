package usage

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// gzipped compresses pieces, and flushes after each.
func gzipped(t *testing.T, pieces ...[]byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	for _, piece := range pieces {
		_, err := w.Write(piece)
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// TestDecode_HasNoTimeLimitForResponses pauses decoding for longer than it takes, as the
// scheduler does under load.
func TestDecode_HasNoTimeLimitForResponses(t *testing.T) {
	t.Parallel()
	first, second := []byte(rand.Text()), []byte(rand.Text())
	body := gzipped(t, first, second)
	var got []byte
	d := newPushDecoder([]string{"gzip"}, func(p []byte) {
		time.Sleep(1500 * time.Millisecond)
		got = append(got, p...)
	})
	for i := range body {
		if !d.write(body[i : i+1]) {
			t.Fatalf("decoding stopped after %d of %d bytes", i+1, len(body))
		}
	}
	d.close()
	if want := append(first, second...); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDecode_BoundsIntermediateData decodes a body with two codings.
func TestDecode_BoundsIntermediateData(t *testing.T) {
	t.Parallel()
	noise := make([]byte, maxIntermediate)
	if _, err := io.ReadFull(rand.Reader, noise); err != nil {
		t.Fatal(err)
	}
	text := []byte(base64.StdEncoding.EncodeToString(noise)) // Compressed, it is slightly larger than maxIntermediate.
	for _, row := range []struct {
		size  int
		whole bool
	}{{len(text) / 2, true}, {len(text), false}} {
		var got int
		d := newPushDecoder([]string{"gzip", "gzip"}, func(p []byte) { got += len(p) })
		d.write(gzipped(t, gzipped(t, text[:row.size])))
		d.close()
		if whole := got == row.size; whole != row.whole {
			t.Errorf("got %d of %d bytes, want all: %v", got, row.size, row.whole)
		}
	}
}
