package transcode

import (
	"bytes"
	"context"
	"crypto/rand"
	byteorder "encoding/binary"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectgzip"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/internal/inflation"
	"github.com/openai-connect/openai-connect/server/memory"
)

// maxDecodeTime is the maximum time to decompress a message.
const maxDecodeTime = 5 * time.Second

// Compressors returns the compressors of the RPC protocols, for servers that use
// [Codecs]. The codecs decompress messages, since only they know the client and its
// memory budget.
func Compressors() []connect.Compressor { return []connect.Compressor{compressor{messageGzip}} }

var messageGzip = connectgzip.New()

// compressedMark is the prefix of a message that is still compressed. It is secret, so
// clients cannot send it.
var compressedMark = func() []byte {
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails
	return mark
}()

// compressor compresses messages and leaves received ones compressed.
type compressor struct{ *connectgzip.Compressor }

// Decompress implements [connect.Compressor].
func (compressor) Decompress(src io.Reader) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(compressedMark), src)), nil
}

// message returns the decompressed bytes of a message.
func message(ctx context.Context, src io.Reader) ([]byte, error) {
	buffer, inMemory := src.(*bytes.Buffer)
	if !inMemory {
		return io.ReadAll(src)
	}
	compressed, ok := bytes.CutPrefix(buffer.Bytes(), compressedMark)
	if !ok {
		return buffer.Bytes(), nil
	}
	return decompress(ctx, compressed)
}

// decompress decompresses a message. It reserves memory before allocating it.
func decompress(ctx context.Context, compressed []byte) ([]byte, error) {
	var (
		hold  *memory.Hold
		limit int64
	)
	if w := writerOf(ctx); w != nil {
		hold, limit = w.memory, int64(w.bounds.MaxMessageBytes)
	}
	if err := hold.Grow(int64(len(compressed))); err != nil { // Connect buffers it
		return nil, err
	}
	bounds := inflation.Bounds{Context: ctx, MaxRatio: inflation.MaxRatio, MaxTime: maxDecodeTime}
	reader, err := bounds.Reader(bytes.NewReader(compressed), messageGzip.Decompress)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var text []byte
	for room := initialCapacity(compressed); ; room = len(text) {
		room = max(room, bytes.MinRead)
		if err := hold.Grow(int64(room)); err != nil {
			return nil, err
		}
		grown := make([]byte, len(text), len(text)+room)
		copy(grown, text)
		text = grown
		for len(text) < cap(text) {
			n, err := reader.Read(text[len(text):cap(text)])
			text = text[:len(text)+n]
			if limit > 0 && int64(len(text)) > limit {
				return nil, connect.Errorf(connect.CodeResourceExhausted, "message is larger than configured max %d", limit)
			}
			if errors.Is(err, io.EOF) {
				return text, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// initialCapacity returns the initial capacity for a decompressed message: the size
// in the gzip trailer (RFC 1952, section 2.3.1) if it is plausible, and one byte more to
// reach the end without growing.
func initialCapacity(compressed []byte) int {
	if len(compressed) < 4 {
		return 0
	}
	stated := int64(byteorder.LittleEndian.Uint32(compressed[len(compressed)-4:]))
	return int(min(stated, int64(len(compressed))*inflation.MaxRatio)) + 1
}

// decodeMessage decodes a message with decode and reserves memory for it. Large
// messages are decoded in turn. The overhead is added for the decoded message.
func decodeMessage(ctx context.Context, src io.Reader, overhead func([]byte) int64, decode func([]byte) error) error {
	var size int64
	if buffer, ok := src.(*bytes.Buffer); ok {
		size = int64(buffer.Len())
		if bytes.HasPrefix(buffer.Bytes(), compressedMark) {
			size = int64(initialCapacity(buffer.Bytes()))
		}
	}
	w := writerOf(ctx)
	end := w.turn(ctx, size)
	defer end()
	text, err := message(ctx, src)
	if err != nil {
		return err
	}
	if w == nil {
		return decode(text)
	}
	w.received = len(text)
	decoded := int64(len(text)) + overhead(text)
	if err := w.memory.Grow(decoded - int64(len(text))); err != nil {
		return err
	}
	if err := decode(text); err != nil {
		return err
	}
	return w.memory.Resize(decoded)
}

// Rejections is the innermost interceptor of a server. It converts errors of exceeded
// memory budgets and of decompression bombs to RPC errors.
func Rejections(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil {
			return nil
		}
		return rejection(err)
	}
}

// rejection returns the RPC error for an error handled by [Rejections], and other
// errors unchanged.
func rejection(err error) error {
	if e, ok := apierror.ForLimit(err); ok {
		return e.ConnectAs(connect.CodeResourceExhausted).WithCause(err)
	}
	return tooLongMessage(err)
}

// tooLongMessage unwraps the codec's error for a message that is too large, which
// Connect wraps as an invalid argument.
func tooLongMessage(err error) error {
	outer, ok := errors.AsType[*connect.Error](err)
	if !ok || outer.Code() != connect.CodeInvalidArgument {
		return err
	}
	if inner, ok := errors.AsType[*connect.Error](outer.Unwrap()); ok && inner.Code() == connect.CodeResourceExhausted {
		return inner
	}
	return err
}
