package transcode

import (
	"context"
	"io"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
)

// Codecs are the message codecs of the RPC protocols. JSON has the names of the
// .proto files, which are OpenAI's own, where Protobuf's default is to turn
// them into camel case (readers accept both); and names that a message lacks
// are refused, where Connect's default is to drop them.
func Codecs() []connect.Codec {
	json := connectproto.NewJSONCodec()
	json.MarshalOptions.UseProtoNames = true
	json.UnmarshalOptions.DiscardUnknown = false
	return []connect.Codec{binaryCodec{connectproto.NewBinaryCodec()}, jsonCodec{json}}
}

// binaryCodec reads and writes messages in Protobuf's own form. It reads them
// where they lie: Connect's makes a copy first, which an image in a request is
// too large for.
type binaryCodec struct{ *connectproto.BinaryCodec }

// UnmarshalRead implements [connect.Codec].
func (c binaryCodec) UnmarshalRead(ctx context.Context, src io.Reader, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return c.BinaryCodec.UnmarshalRead(ctx, src, message)
	}
	overhead := func(text []byte) int64 { return binaryOverhead(text, m.ProtoReflect().Descriptor()) }
	return decodeMessage(ctx, src, overhead, func(text []byte) error {
		return c.UnmarshalOptions.Unmarshal(text, m)
	})
}
