package transcode

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	mediaJSON        = "application/json"
	mediaEventStream = "text/event-stream"
)

// send makes the call that request stands for, and passes the response's
// headers on. An answer other than 2xx is an error.
func (c *caller) send(ctx context.Context, op *operation, request proto.Message) (*http.Response, error) {
	if err := checkUnknown(request.ProtoReflect()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err.Error())
	}
	info, _ := connect.CallInfoForServerContext(ctx)
	writer := writerOf(ctx)
	if writer != nil {
		info.ReceiveStats.Size = writer.received
	}
	end := writer.turn(ctx, int64(info.ReceiveStats.Size))
	call, err := newCall(op, request, info.ReceiveStats.Size)
	end()
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err.Error())
	}
	if length := len(call.Target); length > MaxTargetBytes {
		return nil, connect.Errorf(connect.CodeResourceExhausted,
			"the path and the query that the request stands for have %d bytes, and this server sends up to %d: shorten the IDs and filters in it", length, MaxTargetBytes)
	}
	if body, ok := call.Body.(*bytes.Reader); ok {
		if err := writer.resize(body.Size()); err != nil { // The message isn't needed any more.
			return nil, err
		}
	}
	call.Header = requestHeader(info.RequestHeader(), op)
	response, err := c.upstream.Send(ctx, call)
	_ = writer.resize(0)
	if err != nil {
		return nil, sendError(nil, err)
	}
	responseMetadata(info.ResponseHeader(), response.Header)
	response = decode(response)
	if op.Stream == nil && writer != nil { // A stream isn't kept.
		response.Body = writer.memory.Reader(response.Body)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer response.Body.Close()
		return nil, failed(ctx, response, statusError(response))
	}
	return response, nil
}

// MaxTargetBytes bounds a request-target, of a client and of what a call becomes.
// RFC 9110 §4.1 recommends to support 8,000 bytes at least; OpenAI's paths and queries
// take some hundred.
const MaxTargetBytes = 16 << 10

// failed returns err, the error of a call that had a response. Over gRPC and
// gRPC-Web its trailers repeat the response's metadata, since many clients show
// only those. Clients of the Connect protocol show an error's headers, and would
// show the values twice.
func failed(ctx context.Context, response *http.Response, err error) error {
	info, ok := connect.CallInfoForServerContext(ctx)
	if ok && err != nil && info.Protocol != connect.ProtocolNameConnect {
		repeatInTrailers(info.ResponseTrailer(), response.Header)
	}
	return err
}

// newCall translates a request message, which took size bytes on its way here.
// Its errors name the field.
func newCall(op *operation, request proto.Message, size int) (*upstream.Request, error) {
	target, err := op.Target(nil, request)
	if err != nil {
		return nil, err
	}
	call := &upstream.Request{Method: op.Method, Target: string(target)}
	if !op.HasBody {
		return call, nil
	}
	message, ok := request.(restjson.Encodable)
	if !ok {
		return nil, errors.New("the request message has no generated codec")
	}
	// Base64 takes a third more than bytes, and names and quotes a little more than
	// Protobuf's: with room for both most bodies are written without growing.
	body, err := restjson.AppendRequest(make([]byte, 0, size*4/3+512), message, op.Decided)
	if err != nil {
		return nil, err
	}
	call.Body = bytes.NewReader(body)
	return call, nil
}
