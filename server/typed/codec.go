package typed

import (
	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
)

// Codecs are the message codecs of the RPC protocols. JSON has the names of the
// .proto files, which are OpenAI's own, where Protobuf's default is to turn
// them into camel case (readers accept both); and names that a message lacks
// are refused, where Connect's default is to drop them.
func Codecs() []connect.Codec {
	json := connectproto.NewJSONCodec()
	json.MarshalOptions.UseProtoNames = true
	json.UnmarshalOptions.DiscardUnknown = false
	return []connect.Codec{connectproto.NewBinaryCodec(), jsonCodec{json}}
}
