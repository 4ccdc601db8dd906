package usage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

const (
	// maxDecoded bounds, in bytes, what is decoded of one answer: what grows to
	// more is no answer but a bomb.
	maxDecoded = 64 << 20

	// maxCodings bounds how many codings of an answer may be applied one on another.
	// A request may have one.
	maxCodings = 2

	// maxWindow bounds, in bytes, the memory of zstd: what RFC 9659 has senders
	// keep to.
	maxWindow = 8 << 20

	decodeBuffer = 8 << 10

	// maxDecodeTime bounds how long it may take to decode a request.
	maxDecodeTime = 5 * time.Second

	// maxBetween bounds, in bytes, what is between the codings of an answer that has
	// several. Little text can decode to all of it, and it to little text again, with
	// much work. With it the work is bounded on any machine, so that a busy one counts
	// the same answers.
	maxIntermediate = 8 << 20
)

var decodeBuffers = sync.Pool{New: func() any { return new([decodeBuffer]byte) }}

// CodingError says that a body has more codings than this server undoes. It is to be
// answered with status 415 (RFC 9110 §15.5.16), and with Accept in the field
// Accept-Encoding (RFC 7694 §3).
type CodingError struct {
	Codings []string
	Accept  string
}

func (e *CodingError) Error() string {
	return fmt.Sprintf("the body has the %d content codings %.100q: use one of %s, or none", len(e.Codings), strings.Join(e.Codings, ", "), e.Accept)
}

// acceptedCodings are those that a request may have one of.
const acceptedCodings = "gzip, deflate, br, zstd"

// checkCodings returns a [*CodingError] unless a request has one coding at most.
// Whether that one is known shows when the request is read.
func checkRequestCodings(list []string) error {
	if len(list) > 1 {
		return &CodingError{Codings: list, Accept: acceptedCodings}
	}
	return nil
}

// codings returns the content codings of a body, in the order in which they were
// applied (RFC 9110 §8.4), in lower case and without "identity".
func contentCodings(values []string) []string {
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
func canDecode(list []string) bool {
	return len(list) <= maxCodings && !slices.ContainsFunc(list, func(coding string) bool {
		_, known := decoders[coding]
		return !known
	})
}

// openers begin to undo a coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
var decoders = map[string]func(io.Reader) (io.ReadCloser, error){
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

// undo returns a reader of what the codings were applied to, each of which keeps to
// bounds of its own like those given. MaxBytes is for what is between them, and not for
// what is read from the reader. It must be closed.
func newDecoder(list []string, r io.Reader, bounds inflation.Bounds) (io.ReadCloser, error) {
	undone := &decoderChain{Reader: r}
	for i, coding := range slices.Backward(list) {
		open, known := decoders[coding]
		if !known {
			_ = undone.Close()
			return nil, fmt.Errorf("%w: %q", errors.ErrUnsupported, coding)
		}
		layer := bounds
		if i == 0 {
			layer.MaxBytes = 0
		}
		decoder, err := layer.Reader(undone.Reader, open)
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
type decoderChain struct {
	io.Reader

	decoders []io.Closer
}

func (s *decoderChain) Close() error {
	for _, each := range s.decoders {
		_ = each.Close() // nothing is lost, as nothing more is read
	}
	return nil
}

// newDecoder returns a pump that undoes the codings of an answer while it passes, and
// writes to sink. It stops at what can't be decoded, or is too much.
func newPushDecoder(list []string, sink func([]byte)) *pushReader {
	return newPushReader(func(r io.Reader) {
		decoded, err := newDecoder(list, r, inflation.Bounds{MaxBytes: maxIntermediate})
		if err != nil {
			return
		}
		defer decoded.Close()
		left := maxDecoded
		readAll(decoded, func(p []byte) bool {
			if left -= len(p); left < 0 {
				return false
			}
			sink(p)
			return true
		})
	})
}

// drain writes to sink what is decoded, as long as that wants more.
func readAll(decoded io.Reader, sink func([]byte) bool) {
	buffer := decodeBuffers.Get().(*[decodeBuffer]byte)
	defer decodeBuffers.Put(buffer)
	for {
		n, err := decoded.Read(buffer[:])
		if !sink(buffer[:n]) || err != nil {
			return
		}
	}
}

// Decode returns a reader of an answer's body without the content codings that its header
// states. It must be closed.
func Decode(ctx context.Context, header http.Header, body io.Reader) (io.ReadCloser, error) {
	encoded := contentCodings(header["Content-Encoding"])
	if len(encoded) > maxCodings {
		return nil, &CodingError{Codings: encoded, Accept: acceptedCodings}
	}
	return newDecoder(encoded, body, inflation.Bounds{Context: ctx})
}
