// Package inflation bounds what it costs to decompress what a stranger has compressed.
//
// A decompressor does work for its input as well as for its output: a megabyte of
// empty blocks has no output at all, and the same megabyte compressed again is a
// kilobyte. So both are bounded, at each layer of compression.
package inflation

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// MaxRatio suits [Bounds.MaxRatio]. Text takes a fifth to a twentieth of its size,
	// and what DEFLATE makes of nothing but repetition a thousandth.
	MaxRatio = 100
	// ratioFrom is the size of the output, in bytes, from which the ratio counts.
	ratioFrom = 1 << 20

	// slack is how much input, in bytes, may come before its output does: a block of
	// Zstandard has up to 128 KiB (RFC 8878 §3.1.1.2).
	slack = 160 << 10
	// maxExpansion is how many times the size of its output the input may have beyond
	// that. Compression makes nothing much longer, but for a flush after each byte.
	maxExpansion = 8
)

// Error says what is wrong with the proportions of a compressed body.
type Error struct{ reason string }

func (e *Error) Error() string { return e.reason }

// Bounds are those of one layer.
type Bounds struct {
	// Context, unless nil, ends decompression when it is done, with its error.
	Context context.Context
	// MaxRatio, unless zero, is how many times the size of its input the output may
	// have, once that is larger than 1 MiB.
	MaxRatio int64
	// MaxBytes, unless zero, bounds the output, in bytes.
	MaxBytes int64
	// MaxTime, unless zero, bounds the time since the first byte was read. It is for
	// input that is in memory.
	MaxTime time.Duration

	in, out int64
	begun   time.Time
}

// Reader returns a reader of what open returns for a source. It fails with an [*Error]
// beyond the bounds, which must not be shared with another reader.
func (b *Bounds) Reader(source io.Reader, open func(io.Reader) (io.ReadCloser, error)) (io.ReadCloser, error) {
	decoded, err := open(&input{source, b})
	if err != nil {
		return nil, err
	}
	return &output{decoded, b}, nil
}

// Reset begins to count anew, for a message that is compressed together with the one
// before it.
func (b *Bounds) Reset() { b.in, b.out, b.begun = 0, 0, time.Time{} }

// check returns the error of what was read and decompressed so far.
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
	case b.begun.IsZero():
		b.begun = time.Now()
	case time.Since(b.begun) > b.MaxTime:
		return &Error{fmt.Sprintf("the body takes more than %v to decompress: send it with less compression, or with none", b.MaxTime)}
	}
	return nil
}

// input is the source of a layer. A decompressor that finds no output doesn't return
// from its Read, so that the bounds have to hold here.
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
	if failed := o.bounds.check(); failed != nil {
		return 0, failed
	}
	return n, err
}
