package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// unary serves an operation with a single response.
func (t *transcoder) unary(op *operation) connect.ServerFunc {
	return func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		writerOf(ctx).pauseFlush() // one write at the end
		request := op.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		count := 0
		if op.accumulate != nil {
			count = op.other.Stream.Count(request)
		}
		response, err := t.send(ctx, op, request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		message, err := t.reply(op, count, response)
		if err != nil {
			return failed(ctx, response, err)
		}
		return stream.Send(message)
	}
}

// reply reads the response of a unary call. If it is a stream, it has count items.
func (t *transcoder) reply(op *operation, count int, response *http.Response) (proto.Message, error) {
	if op.accumulate != nil {
		found := peekForm(response)
		if found == formEvents || found != formJSON && mediaType(response) == mediaEventStream && contentEncoding(response) == "" {
			return t.accumulate(op, count, response)
		}
	}
	body, err := readReply(response, t.maxReply)
	if err != nil {
		return nil, err
	}
	message := op.NewResponse()
	if err := restjson.Unmarshal(body, message); err != nil {
		return nil, decodeError(response, body, err)
	}
	if err := op.embeddedError(response, body, message); err != nil {
		return nil, err
	}
	return message, nil
}

// readReply reads a whole body of up to limit bytes.
func readReply(response *http.Response, limit int) ([]byte, error) {
	size := response.ContentLength
	if size > int64(limit) {
		return nil, tooLarge(response, limit)
	}
	// One byte more than announced, to reach the end without growing the buffer.
	body := make([]byte, 0, max(size, 511)+1)
	for {
		n, err := response.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if len(body) > limit {
			return nil, tooLarge(response, limit)
		}
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, sendError(response, err)
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

func tooLarge(response *http.Response, limit int) error {
	return proxyError(connect.CodeResourceExhausted, response, nil,
		fmt.Sprintf("the upstream's response is larger than this server's limit of %d bytes", limit))
}
