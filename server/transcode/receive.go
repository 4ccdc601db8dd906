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
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/inflation"
	"github.com/openai-connect/openai-connect/server/memory"
)

// maxDecodeTime bounds how long it may take to decompress a message.
const maxDecodeTime = 5 * time.Second

// retryAfter is when a call may find room that found none.
const retryAfter = 2 * time.Second

// Compressors are the compressors of the RPC protocols, for servers whose codecs are
// [Codecs]: these decompress messages. Connect would do so without knowing whose they
// are, and what else is held of that client.
func Compressors() []connect.Compressor { return []connect.Compressor{compressor{messageGzip}} }

var messageGzip = connectgzip.New()

// packed is what a message begins with that is compressed still. It is secret, and no
// client's message begins with it.
var packed = func() []byte {
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails
	return mark
}()

// compressor compresses messages, and leaves those that come as they are.
type compressor struct{ *connectgzip.Compressor }

// Decompress implements [connect.Compressor].
func (compressor) Decompress(src io.Reader) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(packed), src)), nil
}

// message returns the bytes of a message that Connect has read, decompressed.
func message(ctx context.Context, src io.Reader) ([]byte, error) {
	buffer, inMemory := src.(*bytes.Buffer)
	if !inMemory {
		return io.ReadAll(src)
	}
	compressed, ok := bytes.CutPrefix(buffer.Bytes(), packed)
	if !ok {
		return buffer.Bytes(), nil
	}
	return decompress(ctx, compressed)
}

// decompress returns what a message was before it was compressed. It takes the memory
// for it before it allocates it.
func decompress(ctx context.Context, compressed []byte) ([]byte, error) {
	var (
		hold  *memory.Hold
		limit int64
	)
	if w := writerOf(ctx); w != nil {
		hold, limit = w.memory, int64(w.bounds.MaxMessageBytes)
	}
	if err := hold.Grow(int64(len(compressed))); err != nil { // which Connect has copied
		return nil, err
	}
	bounds := inflation.Bounds{Context: ctx, MaxRatio: inflation.MaxRatio, MaxTime: maxDecodeTime}
	reader, err := bounds.Reader(bytes.NewReader(compressed), messageGzip.Decompress)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var text []byte
	for room := firstRoom(compressed); ; room = len(text) {
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

// firstRoom is how much room is made for a message at first: as much as gzip says at
// the end that there is (RFC 1952 §2.3.1), if that can be. One byte more shows the end.
func firstRoom(compressed []byte) int {
	if len(compressed) < 4 {
		return 0
	}
	stated := int64(byteorder.LittleEndian.Uint32(compressed[len(compressed)-4:]))
	return int(min(stated, int64(len(compressed))*inflation.MaxRatio)) + 1
}

// decodeMessage reads a message by a function, in its turn, and holds memory for it
// alone then. While it is read, it takes as much more as overhead tells.
func decodeMessage(ctx context.Context, src io.Reader, overhead func([]byte) int64, read func([]byte) error) error {
	var size int64
	if buffer, ok := src.(*bytes.Buffer); ok {
		size = int64(buffer.Len())
		if bytes.HasPrefix(buffer.Bytes(), packed) {
			size = int64(firstRoom(buffer.Bytes()))
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
		return read(text)
	}
	w.received = len(text)
	decoded := int64(len(text)) + overhead(text)
	if err := w.memory.Grow(decoded - int64(len(text))); err != nil {
		return err
	}
	if err := read(text); err != nil {
		return err
	}
	return w.memory.Resize(decoded)
}

// Refusals is the innermost interceptor of a server. It gives the errors of calls that
// there is no memory for, and of messages that are bombs, their code.
func Refusals(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil {
			return nil
		}
		return refusal(err)
	}
}

// refusal returns what an error says to the client, if it is one of those of
// [Refusals], and the error itself otherwise.
func refusal(err error) error {
	detail := &restv1.Error{Type: "server_error", Code: new("server_overloaded")}
	var retry *durationpb.Duration
	if short, ok := errors.AsType[*memory.LimitError](err); ok {
		detail.Message = short.Error()
		if short.Passing {
			retry = durationpb.New(retryAfter)
		} else {
			detail.Type, detail.Code = "invalid_request_error", new("request_too_large")
		}
	} else if bomb, ok := errors.AsType[*inflation.Error](err); ok {
		detail.Message, detail.Type, detail.Code = bomb.Error(), "invalid_request_error", new("request_too_large")
	} else {
		return tooLongMessage(err)
	}
	failure := connect.NewError(connect.CodeResourceExhausted, detail.GetMessage()).WithCause(err)
	if packed, err := connectproto.NewErrorDetail(detail); err == nil {
		failure = failure.WithDetail(packed)
	}
	if retry != nil {
		if packed, err := connectproto.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: retry}); err == nil {
			failure = failure.WithDetail(packed)
		}
	}
	return failure
}

// tooLongMessage returns the error of a codec for a message that is too large as the
// codec made it, where Connect has put it into another one.
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
