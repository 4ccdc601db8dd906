package transcode

import (
	"context"
	"io"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
)

// Codecs returns the message codecs of the RPC protocols. JSON uses the field names of
// the .proto files, which are OpenAI's, instead of camel case; both are accepted.
// Unknown fields are errors, whereas Connect's codec drops them.
func Codecs() []connect.Codec {
	json := connectproto.NewJSONCodec()
	json.MarshalOptions.UseProtoNames = true
	json.UnmarshalOptions.DiscardUnknown = false
	return []connect.Codec{binaryCodec{connectproto.NewBinaryCodec()}, jsonCodec{json}}
}

// binaryCodec is the codec of Protobuf's binary encoding. Unlike Connect's, it does
// not copy a message before decoding it: requests may contain large images.
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
