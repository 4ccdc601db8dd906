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

// unary serves an operation with one answer.
func (c *caller) unary(op *operation) connect.ServerFunc {
	return func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		writerOf(ctx).hold() // what is sent is sent at the end
		request := op.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		count := 0
		if op.accumulate != nil {
			count = op.other.Stream.Count(request)
		}
		response, err := c.send(ctx, op, request) // The request isn't held any longer.
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		message, err := c.reply(op, count, response)
		if err != nil {
			return failed(ctx, response, err)
		}
		return stream.Send(message)
	}
}

// reply reads the answer to a unary call, which has count choices if it is a stream.
func (c *caller) reply(op *operation, count int, response *http.Response) (proto.Message, error) {
	if op.accumulate != nil {
		found := peekForm(response)
		if found == formEvents || found != formJSON && mediaType(response) == mediaEventStream && coding(response) == "" {
			return c.accumulated(op, count, response)
		}
	}
	body, err := readReply(response, c.maxReply)
	if err != nil {
		return nil, err
	}
	message := op.NewResponse()
	if err := restjson.Unmarshal(body, message); err != nil {
		return nil, replyError(response, body, err)
	}
	if err := op.errorInside(response, body, message); err != nil {
		return nil, err
	}
	return message, nil
}

// readReply reads a whole body of at most limit bytes.
func readReply(response *http.Response, limit int) ([]byte, error) {
	size := response.ContentLength
	if size > int64(limit) {
		return nil, tooLarge(response, limit)
	}
	// One byte more than announced, so that the end is seen without growing.
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
	return ownError(connect.CodeResourceExhausted, response, nil,
		fmt.Sprintf("the upstream's reply is larger than this server's limit of %d bytes", limit))
}
