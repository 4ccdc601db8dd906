package typed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/sse"
)

// stream serves an operation whose answer is a stream of Server-Sent Events.
func (c *caller) stream(op *restjson.Operation) connect.ServerFunc {
	return func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		request := op.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		response, err := c.send(ctx, op, request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if !isEventStream(response) {
			return notEventStream(response)
		}
		if err := stream.SendHeaders(); err != nil {
			return err
		}
		events := &eventStream{
			op:       op,
			request:  request,
			response: response,
			reader:   sse.NewReader(response.Body, c.maxEvent),
			writer:   writerOf(ctx),
			outgoing: stream,
		}
		defer events.reader.Release()
		if err := events.forward(); err != nil {
			return err
		}
		drain(response.Body, cancel)
		return nil
	}
}

// eventStream is a stream that is being passed on.
type eventStream struct {
	op       *restjson.Operation
	request  proto.Message
	response *http.Response
	reader   *sse.Reader
	writer   *responseWriter
	outgoing connect.ServerStream
	progress restjson.Progress
	arrived  int
}

// forward sends each event as a message, until the stream is finished. One
// that ends unfinished is an error.
func (s *eventStream) forward() error {
	for {
		event, err := s.reader.Next()
		if string(event.Data) == s.op.Stream.Done && (err == nil || err == sse.ErrUnfinished) { //nolint:errorlint // others wrap what ErrUnfinished wraps
			return nil
		}
		if err != nil {
			return s.end(err)
		}
		if len(event.Data) == 0 {
			continue // a keep-alive
		}
		message := s.op.NewResponse()
		if err := restjson.Unmarshal(event.Data, message); err != nil {
			return s.failed(connect.CodeInternal, "the next event is not what was expected: "+err.Error(), nil)
		}
		if err := errorEvent(s.response, event, message); err != nil {
			return err
		}
		s.arrived++
		s.op.Stream.Track(&s.progress, message)
		s.writer.hold(s.reader.Buffered())
		if err := s.outgoing.Send(message); err != nil {
			return err
		}
	}
}

// end judges a stream that ended, or broke off, without the event that says
// that it is finished.
func (s *eventStream) end(err error) error {
	var large *sse.TooLargeError
	switch {
	case errors.Is(err, io.EOF) && s.progress.Complete(s.op.Stream.Count(s.request)):
		return nil
	case errors.Is(err, io.EOF) && s.arrived == 0:
		return connect.NewError(connect.CodeInternal, "the upstream's stream ended before its first event")
	case errors.As(err, &large):
		return s.failed(connect.CodeResourceExhausted, err.Error(), err)
	case errors.Is(err, io.EOF), errors.Is(err, sse.ErrUnfinished):
		return s.failed(connect.CodeUnavailable, "it was not finished", err)
	}
	failure := sendError(err)
	return s.failed(failure.Code(), failure.Message(), err)
}

// failed is the error of a stream that ends here. It says how far it came.
func (s *eventStream) failed(code connect.Code, reason string, cause error) *connect.Error {
	events := "events"
	if s.arrived == 1 {
		events = "event"
	}
	return connect.NewError(code, fmt.Sprintf("the upstream's stream ended after %d %s: %s", s.arrived, events, reason)).WithCause(cause)
}

// drainTime and drainBytes bound the wait for the end of a body whose last
// event has come: at its end the connection can be used again.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 4 << 10
)

func drain(body io.Reader, cancel context.CancelFunc) {
	timer := time.AfterFunc(drainTime, cancel)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, body, drainBytes)
}
