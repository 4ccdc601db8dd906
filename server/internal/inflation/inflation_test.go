package inflation

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func deflated(t *testing.T, text string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w, err := flate.NewWriter(&buffer, flate.BestCompression)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestBounds(t *testing.T) {
	t.Parallel()
	left, leave := context.WithCancel(t.Context())
	leave()
	for _, row := range []struct {
		name   string
		bounds Bounds
		source []byte
		fails  bool
	}{
		{"nothing", Bounds{MaxRatio: MaxRatio}, deflated(t, ""), false},
		{"a megabyte of one letter", Bounds{MaxRatio: MaxRatio}, deflated(t, strings.Repeat("a", ratioFrom)), false},
		{"more of it", Bounds{MaxRatio: MaxRatio}, deflated(t, strings.Repeat("a", ratioFrom+1)), true},
		{"more of it, without the bound", Bounds{}, deflated(t, strings.Repeat("a", 2*ratioFrom)), false},
		{"a little of nothing", Bounds{}, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, slack/10), true}, // for want of an end
		{"a lot of nothing", Bounds{}, bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, slack), true},
		{"someone who left", Bounds{Context: left}, deflated(t, "text"), true},
		{"someone who stays", Bounds{Context: t.Context()}, deflated(t, "text"), false},
		{"little time", Bounds{MaxTime: 1}, deflated(t, strings.Repeat("text", 1<<20)), true},
		{"much time", Bounds{MaxTime: time.Hour}, deflated(t, strings.Repeat("text", 1<<20)), false},
	} {
		reader, err := row.bounds.Reader(bytes.NewReader(row.source), func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.Copy(io.Discard, reader); (err != nil) != row.fails {
			t.Errorf("%s: the error is %v", row.name, err)
		}
		if read, size := row.bounds.in, int64(len(row.source)); row.fails && size > 2*slack && read > 2*slack {
			t.Errorf("%s: %d of %d bytes were read", row.name, read, size)
		}
		_ = reader.Close()
	}
}

// TestBounds_CountAnew resets bounds between two bodies that would not do together.
func TestBounds_CountAnew(t *testing.T) {
	t.Parallel()
	bounds := &Bounds{MaxRatio: MaxRatio}
	for range 3 {
		bounds.Reset()
		reader, err := bounds.Reader(bytes.NewReader(deflated(t, strings.Repeat("a", ratioFrom))), func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Error(err)
		}
	}
	failed := errors.New("no")
	if _, err := bounds.Reader(nil, func(io.Reader) (io.ReadCloser, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("the error is %v", err)
	}
}
