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

	// maxCodings bounds the number of codings of a response. A request may have one.
	maxCodings = 2

	// maxWindow bounds the memory of a zstd decoder, as RFC 9659 requires of senders.
	maxWindow = 8 << 20

	decodeBufferSize = 8 << 10

	// maxDecodeTime bounds the time to decode a request.
	maxDecodeTime = 5 * time.Second

	// maxIntermediate bounds the data between the two codings of a response. A small body
	// may decode to much intermediate data, which decodes to little content, at a high
	// cost. Unlike a bound on the time, a bound in bytes has the same result on a slow
	// machine.
	maxIntermediate = 8 << 20
)

var decodeBuffers = sync.Pool{New: func() any { return new([decodeBufferSize]byte) }}

// CodingError is the error of a body with more content codings than this server decodes.
// The response to such a request has status 415 (RFC 9110, section 15.5.16), and Accept
// is its Accept-Encoding (RFC 7694, section 3).
type CodingError struct {
	Codings []string
	Accept  string
}

func (e *CodingError) Error() string {
	return fmt.Sprintf("the body has the %d content codings %.100q: use one of %s, or none", len(e.Codings), strings.Join(e.Codings, ", "), e.Accept)
}

// acceptedCodings are the supported codings of a request, which may have one of them.
const acceptedCodings = "gzip, deflate, br, zstd"

// checkRequestCodings returns a [*CodingError] if a request has several codings.
// newDecoder detects an unknown one.
func checkRequestCodings(codings []string) error {
	if len(codings) > 1 {
		return &CodingError{Codings: codings, Accept: acceptedCodings}
	}
	return nil
}

// contentCodings returns the content codings of a body in the order in which they were
// applied (RFC 9110, section 8.4), in lower case, without "identity".
func contentCodings(values []string) []string {
	var codings []string
	for _, value := range values {
		for each := range strings.SplitSeq(value, ",") {
			each = strings.ToLower(strings.TrimSpace(each))
			if each != "" && each != "identity" {
				codings = append(codings, each)
			}
		}
	}
	return codings
}

// canDecode reports whether the codings can be decoded.
func canDecode(codings []string) bool {
	return len(codings) <= maxCodings && !slices.ContainsFunc(codings, func(coding string) bool {
		_, known := decoders[coding]
		return !known
	})
}

// decoders holds a constructor for each coding (RFC 9110, section 8.4.1, RFC 7932, RFC
// 8878).
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

// openDeflate decodes "deflate", the zlib format. Some servers send raw deflate
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
func newDecoder(codings []string, r io.Reader, bounds inflation.Bounds) (io.ReadCloser, error) {
	chain := &decoderChain{Reader: r}
	for i, coding := range slices.Backward(codings) {
		open, known := decoders[coding]
		if !known {
			_ = chain.Close()
			return nil, fmt.Errorf("%w: %q", errors.ErrUnsupported, coding)
		}
		layer := bounds
		if i == 0 {
			layer.MaxBytes = 0
		}
		decoder, err := layer.Reader(chain.Reader, open)
		if err != nil {
			_ = chain.Close()
			return nil, err
		}
		chain.Reader = decoder
		chain.decoders = append(chain.decoders, decoder)
	}
	return chain, nil
}

// decoderChain is a sequence of decoders, each of which reads from the previous one.
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

// newPushDecoder returns a pushReader that decodes a response and passes the content to
// sink. It stops at invalid data, and after maxDecoded bytes.
func newPushDecoder(codings []string, sink func([]byte)) *pushReader {
	return newPushReader(func(r io.Reader) {
		decoded, err := newDecoder(codings, r, inflation.Bounds{MaxBytes: maxIntermediate})
		if err != nil {
			return
		}
		defer decoded.Close()
		remaining := maxDecoded
		readAll(decoded, func(p []byte) bool {
			if remaining -= len(p); remaining < 0 {
				return false
			}
			sink(p)
			return true
		})
	})
}

// readAll passes decoded data to sink until sink returns false.
func readAll(decoded io.Reader, sink func([]byte) bool) {
	buffer := decodeBuffers.Get().(*[decodeBufferSize]byte)
	defer decodeBuffers.Put(buffer)
	for {
		n, err := decoded.Read(buffer[:])
		if !sink(buffer[:n]) || err != nil {
			return
		}
	}
}

// Decode returns a reader that removes the content codings of a response body. It must be
// closed.
func Decode(ctx context.Context, header http.Header, body io.Reader) (io.ReadCloser, error) {
	codings := contentCodings(header["Content-Encoding"])
	if len(codings) > maxCodings {
		return nil, &CodingError{Codings: codings, Accept: acceptedCodings}
	}
	return newDecoder(codings, body, inflation.Bounds{Context: ctx})
}
