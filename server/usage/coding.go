package usage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxDecoded bounds, in bytes, what is decoded of one answer: what grows to
	// more is no answer but a bomb.
	maxDecoded = 64 << 20

	// maxCodings bounds how many codings may be applied one on another.
	maxCodings = 4

	// maxWindow bounds, in bytes, the memory of zstd: what RFC 9659 has senders
	// keep to.
	maxWindow = 8 << 20

	decodeBuffer = 8 << 10
)

var decodeBuffers = sync.Pool{New: func() any { return new([decodeBuffer]byte) }}

var errTooManyCodings = fmt.Errorf("there are more than %d content codings", maxCodings)

// codings returns the content codings of a body, in the order in which they were
// applied (RFC 9110 §8.4), in lower case and without "identity".
func codings(values []string) []string {
	var list []string
	for _, value := range values {
		for each := range strings.SplitSeq(value, ",") {
			each = strings.ToLower(strings.TrimSpace(each))
			if each != "" && each != "identity" {
				list = append(list, each)
			}
		}
	}
	return list
}

// knowsAll reports whether all of the codings can be undone.
func knowsAll(list []string) bool {
	return len(list) <= maxCodings && !slices.ContainsFunc(list, func(coding string) bool {
		_, known := openers[coding]
		return !known
	})
}

// openers begin to undo a coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
var openers = map[string]func(io.Reader) (io.ReadCloser, error){
	"gzip":    openGzip,
	"x-gzip":  openGzip,
	"deflate": openDeflate,
	"br": func(r io.Reader) (io.ReadCloser, error) {
		return io.NopCloser(brotli.NewReader(r)), nil
	},
	"zstd": func(r io.Reader) (io.ReadCloser, error) {
		decoder, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return decoder.IOReadCloser(), nil
	},
}

func openGzip(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }

// openDeflate undoes "deflate", which is zlib's format; some send it bare.
func openDeflate(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950 §2.2
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}

// undo returns a reader of what the codings were applied to. It must be closed.
func undo(list []string, r io.Reader) (io.ReadCloser, error) {
	if len(list) > maxCodings {
		return nil, errTooManyCodings
	}
	undone := &stack{Reader: r}
	for _, coding := range slices.Backward(list) {
		open, known := openers[coding]
		if !known {
			_ = undone.Close()
			return nil, fmt.Errorf("%w: %q", errors.ErrUnsupported, coding)
		}
		decoder, err := open(undone.Reader)
		if err != nil {
			_ = undone.Close()
			return nil, err
		}
		undone.Reader = decoder
		undone.decoders = append(undone.decoders, decoder)
	}
	return undone, nil
}

// stack is decoders that read from one another.
type stack struct {
	io.Reader

	decoders []io.Closer
}

func (s *stack) Close() error {
	for _, each := range s.decoders {
		_ = each.Close() // nothing is lost, as nothing more is read
	}
	return nil
}

// newDecoder returns a pump that undoes the codings and writes to sink. It stops
// at what can't be decoded, or is too much.
func newDecoder(list []string, sink func([]byte)) *pump {
	return newPump(func(r io.Reader) {
		decoded, err := undo(list, r)
		if err != nil {
			return
		}
		defer decoded.Close()
		left := maxDecoded
		drain(decoded, func(p []byte) bool {
			if left -= len(p); left < 0 {
				return false
			}
			sink(p)
			return true
		})
	})
}

// drain writes to sink what is decoded, as long as that wants more.
func drain(decoded io.Reader, sink func([]byte) bool) {
	buffer := decodeBuffers.Get().(*[decodeBuffer]byte)
	defer decodeBuffers.Put(buffer)
	for {
		n, err := decoded.Read(buffer[:])
		if !sink(buffer[:n]) || err != nil {
			return
		}
	}
}
