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

// send sends the REST request for an RPC and copies the response headers to the
// call. A response other than 2xx is an error.
func (t *transcoder) send(ctx context.Context, op *operation, request proto.Message) (*http.Response, error) {
	if err := checkUnknown(request.ProtoReflect()); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err.Error())
	}
	info, _ := connect.CallInfoForServerContext(ctx)
	writer := writerOf(ctx)
	if writer != nil {
		info.ReceiveStats.Size = writer.received
	}
	end := writer.turn(ctx, int64(info.ReceiveStats.Size))
	call, err := newRequest(op, request, info.ReceiveStats.Size)
	end()
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err.Error())
	}
	if length := len(call.Target); length > MaxTargetBytes {
		return nil, connect.Errorf(connect.CodeResourceExhausted,
			"the path and query of the REST request have %d bytes, more than the limit of %d: shorten the IDs and filters in the request", length, MaxTargetBytes)
	}
	if body, ok := call.Body.(*bytes.Reader); ok {
		if err := writer.resize(body.Size()); err != nil { // The message is no longer referenced.
			return nil, err
		}
	}
	call.Header = requestHeader(info.RequestHeader(), op)
	response, err := t.upstream.Send(ctx, call)
	_ = writer.resize(0)
	if err != nil {
		return nil, sendError(nil, err)
	}
	responseMetadata(info.ResponseHeader(), response.Header)
	response = decode(response)
	if op.Stream == nil && writer != nil { // Streams are not buffered.
		response.Body = writer.memory.Reader(response.Body)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer response.Body.Close()
		return nil, failed(ctx, response, statusError(response))
	}
	return response, nil
}

// MaxTargetBytes is the maximum length of a request target, of a client or of the
// REST request for an RPC. RFC 9110, section 4.1, recommends at least 8,000 bytes;
// OpenAI's paths and queries have some hundred.
const MaxTargetBytes = 16 << 10

// failed returns err, the error of a call with a response. With gRPC and gRPC-Web,
// the trailers repeat the response headers, since many clients only show trailers of
// errors. Connect clients show both, so they would get the values twice.
func failed(ctx context.Context, response *http.Response, err error) error {
	info, ok := connect.CallInfoForServerContext(ctx)
	if ok && err != nil && info.Protocol != connect.ProtocolNameConnect {
		repeatInTrailers(info.ResponseTrailer(), response.Header)
	}
	return err
}

// newRequest returns the REST request for a request message of size bytes. Errors
// name the field.
func newRequest(op *operation, request proto.Message, size int) (*upstream.Request, error) {
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
	// Base64 needs a third more than bytes, and JSON names and quotes need some more
	// than Protobuf: most bodies fit without growing the buffer.
	body, err := restjson.AppendRequest(make([]byte, 0, size*4/3+512), message, op.Fixed)
	if err != nil {
		return nil, err
	}
	call.Body = bytes.NewReader(body)
	return call, nil
}
