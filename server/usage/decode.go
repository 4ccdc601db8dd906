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
	// maxDecoded bounds the decoded size of a response. A larger one is a decompression
	// bomb.
	maxDecoded = 64 << 20

	// maxCodings is the number of codings that a response may have. A request may have
	// one.
	maxCodings = 2

	// maxWindow bounds the memory of a zstd decoder, as RFC 9659 requires of senders.
	maxWindow = 8 << 20

	decodeBuffer = 8 << 10

	// maxDecodeTime bounds the time to decode a request.
	maxDecodeTime = 5 * time.Second

	// maxIntermediate bounds the data between the two codings of a response. A small body
	// can decode to much intermediate data and that to little content, at a high cost. A
	// bound in bytes gives the same result on a slow machine, unlike a bound in time.
	maxIntermediate = 8 << 20
)

var decodeBuffers = sync.Pool{New: func() any { return new([decodeBuffer]byte) }}

// CodingError is the error of a request with more codings than this server decodes. The
// response has status 415 (RFC 9110, section 15.5.16) and Accept in its Accept-Encoding
// (RFC 7694, section 3).
type CodingError struct {
	Codings []string
	Accept  string
}

func (e *CodingError) Error() string {
	return fmt.Sprintf("the body has the %d content codings %.100q: use one of %s, or none", len(e.Codings), strings.Join(e.Codings, ", "), e.Accept)
}

// acceptedCodings are the supported codings of a request, of which it may have one.
const acceptedCodings = "gzip, deflate, br, zstd"

// checkRequestCodings returns a [*CodingError] if a request has several codings. An
// unknown coding is detected later.
func checkRequestCodings(list []string) error {
	if len(list) > 1 {
		return &CodingError{Codings: list, Accept: acceptedCodings}
	}
	return nil
}

// contentCodings returns the content codings of a body in the order in which they were
// applied (RFC 9110, section 8.4), in lower case, without "identity".
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

// canDecode reports whether the codings can be decoded.
func canDecode(list []string) bool {
	return len(list) <= maxCodings && !slices.ContainsFunc(list, func(coding string) bool {
		_, known := decoders[coding]
		return !known
	})
}

// decoders create the decoder of a coding (RFC 9110, section 8.4.1, RFC 7932, RFC 8878).
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

// openDeflate decodes "deflate", which is the zlib format. Some servers send raw deflate
// data.
func openDeflate(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 { // RFC 1950, section 2.2
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}

// newDecoder returns a reader that decodes the codings. The bounds apply to each coding.
// MaxBytes applies to intermediate data only. The reader must be closed.
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

// decoderChain is a chain of decoders. Each reads from the previous one.
type decoderChain struct {
	io.Reader

	decoders []io.Closer
}

func (s *decoderChain) Close() error {
	for _, each := range s.decoders {
		_ = each.Close() // Nothing more is read.
	}
	return nil
}

// newPushDecoder decodes a response that is written to it, and passes the content to
// sink. It stops at invalid data, and at maxDecoded.
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

// readAll passes decoded data to sink, as long as sink returns true.
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

// Decode returns a reader of a response body without the content codings of its header.
// It must be closed.
func Decode(ctx context.Context, header http.Header, body io.Reader) (io.ReadCloser, error) {
	encoded := contentCodings(header["Content-Encoding"])
	if len(encoded) > maxCodings {
		return nil, &CodingError{Codings: encoded, Accept: acceptedCodings}
	}
	return newDecoder(encoded, body, inflation.Bounds{Context: ctx})
}
