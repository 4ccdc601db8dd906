package typed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

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
		leased, lease := newLease(ctx)
		defer lease.end()
		response, err := c.send(leased, op, request)
		if err != nil {
			return err
		}
		// The request isn't kept beyond this: it may be large, and the stream long.
		if err := c.forward(ctx, op, op.Stream.Count(request), response, stream); err != nil {
			_ = response.Body.Close()
			return err
		}
		lease.drain(response.Body)
		return nil
	}
}

// forward passes the events of a response, of as many items as count, on as
// messages.
func (c *caller) forward(
	ctx context.Context, op *restjson.Operation, count int, response *http.Response, outgoing connect.ServerStream,
) error {
	if !isEventStream(response) {
		return notEventStream(response)
	}
	info, _ := connect.CallInfoForServerContext(ctx)
	info.ResponseHeader().Set("X-Accel-Buffering", "no") // or a buffering proxy in front starves the stream
	if err := outgoing.SendHeaders(); err != nil {
		return err
	}
	events := &eventStream{
		op:       op,
		count:    count,
		response: response,
		reader:   sse.NewReader(response.Body, c.maxEvent),
		writer:   writerOf(ctx),
		outgoing: outgoing,
	}
	defer events.reader.Release()
	return events.forward()
}

// isEventStream reports whether a response is a stream. One that doesn't say
// what it is gets the benefit of the doubt, unless it begins as no stream does
// but JSON or HTML.
func isEventStream(response *http.Response) bool {
	if coding(response) != "" {
		return false
	}
	if response.Header.Get("Content-Type") != "" {
		return mediaType(response) == mediaEventStream
	}
	body := bufio.NewReader(response.Body)
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, response.Body}
	first, err := body.Peek(1)
	return err == nil && !bytes.ContainsAny(first, "{[<")
}

// eventStream is a stream that is being passed on.
type eventStream struct {
	op       *restjson.Operation
	count    int // of the items that were asked for
	response *http.Response
	reader   *sse.Reader
	writer   *responseWriter
	outgoing connect.ServerStream
	progress restjson.Progress
	arrived  int                  // events that were passed on
	messages restjson.Unmarshaler // of the events
}

// forward sends each event as a message, until the stream is finished. One that
// ends unfinished is an error. Messages whose events are there together leave
// together, but none waits for an event that isn't there.
func (s *eventStream) forward() error {
	s.writer.hold()
	message := s.op.NewResponse()
	for {
		if !s.reader.Buffered() {
			s.writer.release()
		}
		event, err := s.reader.Next()
		switch {
		case string(event.Data) == s.op.Stream.Done:
			return nil
		case event.Type == "error":
			return s.errorEvent(event)
		case err != nil:
			return s.end(err)
		case len(event.Data) == 0:
			continue // a keep-alive
		}
		proto.Reset(message) // Send has let go of it
		if err := s.messages.Unmarshal(event.Data, message); err != nil {
			return s.failed(connect.CodeInternal, "the next event can't be read: "+err.Error(), event.Data)
		}
		if err := errorInside(s.response, event.Data, message); err != nil {
			return err
		}
		s.arrived++
		s.op.Stream.Track(&s.progress, message)
		if err := s.outgoing.Send(message); err != nil {
			return err
		}
	}
}

// errorEvent is the error of an event that is named an error.
func (s *eventStream) errorEvent(event sse.Event) error {
	if detail := parseError(event.Data); detail != nil {
		return answerError(errorCode(detail), s.response, detail)
	}
	return s.failed(connect.CodeUnknown, "an error event came", event.Data)
}

// end judges a stream that ended, or broke off, without the event that says
// that it is finished.
func (s *eventStream) end(err error) error {
	var large *sse.TooLargeError
	switch {
	case errors.Is(err, io.EOF) && s.progress.Complete(s.count):
		return nil
	case errors.Is(err, io.EOF) && s.arrived == 0:
		return ownError(connect.CodeInternal, s.response, nil, "the upstream's stream ended before its first event")
	case errors.As(err, &large):
		return s.failed(connect.CodeResourceExhausted, err.Error(), nil)
	case errors.Is(err, io.EOF), errors.Is(err, sse.ErrUnfinished):
		return s.failed(connect.CodeUnavailable, "it was not finished", nil)
	}
	failure := sendError(s.response, err)
	return s.failed(failure.Code(), failure.Message(), nil)
}

// failed is the error of a stream that ends here, with the event that it ends
// at. It says how far the stream came.
func (s *eventStream) failed(code connect.Code, reason string, event []byte) error {
	events := "events"
	if s.arrived == 1 {
		events = "event"
	}
	return ownError(code, s.response, event, fmt.Sprintf("the upstream's stream ended after %d %s: %s", s.arrived, events, reason))
}
