// Package inflation bounds the cost of decompressing untrusted data.
//
// The work of a decompressor depends on the size of its input and of its output. A
// megabyte of empty blocks has no output, and compressed again it is a kilobyte. So the
// package bounds both sizes at each layer of compression.
package inflation

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// MaxRatio is the usual value for [Bounds.MaxRatio]. Text usually compresses to
	// between a fifth and a twentieth of its size. DEFLATE compresses pure repetition to
	// a thousandth.
	MaxRatio = 100
	// ratioFrom is the output size in bytes above which the ratio is enforced.
	ratioFrom = 1 << 20

	// slack is the number of input bytes that may precede their output. A Zstandard
	// block has up to 128 KiB (RFC 8878 §3.1.1.2).
	slack = 160 << 10
	// maxExpansion is the maximum ratio of input beyond slack to output. Compressed data
	// is rarely longer than its output, except with a flush after each byte.
	maxExpansion = 8
)

// Error reports a compressed body that is too expensive to decompress.
type Error struct{ reason string }

func (e *Error) Error() string { return e.reason }

// Bounds holds the limits of one layer of compression.
type Bounds struct {
	// Context, unless nil, aborts decompression with its error when it is done.
	Context context.Context
	// MaxRatio, unless zero, is the maximum ratio of output size to input size. It is
	// enforced for an output larger than 1 MiB.
	MaxRatio int64
	// MaxBytes, unless zero, is the maximum output size in bytes.
	MaxBytes int64
	// MaxTime, unless zero, is the maximum time since the first byte was read. It is
	// intended for input in memory.
	MaxTime time.Duration

	in, out int64
	started time.Time
}

// Reader returns the decompressor opened for source, with b enforced. A read beyond the
// bounds returns an [*Error]. Readers must not share b.
func (b *Bounds) Reader(source io.Reader, open func(io.Reader) (io.ReadCloser, error)) (io.ReadCloser, error) {
	decoded, err := open(&input{source, b})
	if err != nil {
		return nil, err
	}
	return &output{decoded, b}, nil
}

// Reset resets the counters. It is called before each message if the messages share a
// compression context.
func (b *Bounds) Reset() { b.in, b.out, b.started = 0, 0, time.Time{} }

// check returns an error if the bytes read and decompressed so far exceed the bounds.
func (b *Bounds) check() error {
	switch {
	case b.in > slack+maxExpansion*b.out:
		return &Error{"the compressed body has long stretches that decompress to nothing"}
	case b.MaxBytes > 0 && b.out > b.MaxBytes:
		return &Error{fmt.Sprintf("the body decompresses to more than %d bytes", b.MaxBytes)}
	case b.MaxRatio > 0 && b.out > ratioFrom && b.out > b.MaxRatio*b.in:
		return &Error{fmt.Sprintf("the body decompresses to more than %d times its size: send it with less compression, or with none", b.MaxRatio)}
	case b.Context != nil && b.Context.Err() != nil:
		return b.Context.Err()
	case b.MaxTime == 0:
	case b.started.IsZero():
		b.started = time.Now()
	case time.Since(b.started) > b.MaxTime:
		return &Error{fmt.Sprintf("the body takes more than %v to decompress: send it with less compression, or with none", b.MaxTime)}
	}
	return nil
}

// input wraps the source of a layer. It enforces the bounds too, because a decompressor
// without output does not return from Read.
type input struct {
	source io.Reader
	bounds *Bounds
}

func (i *input) Read(p []byte) (int, error) {
	if err := i.bounds.check(); err != nil {
		return 0, err
	}
	n, err := i.source.Read(p)
	i.bounds.in += int64(n)
	return n, err
}

type output struct {
	io.ReadCloser

	bounds *Bounds
}

func (o *output) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.bounds.out += int64(n)
	if boundsErr := o.bounds.check(); boundsErr != nil {
		return 0, boundsErr
	}
	return n, err
}
