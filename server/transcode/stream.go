package transcode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/sse"
)

// stream serves an operation whose answer is a stream of Server-Sent Events.
func (c *caller) stream(op *operation) connect.ServerFunc {
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
			return failed(ctx, response, err)
		}
		lease.drain(response.Body)
		return nil
	}
}

// forward passes the events of a response, of as many items as count, on as
// messages.
func (c *caller) forward(
	ctx context.Context, op *operation, count int, response *http.Response, outgoing connect.ServerStream,
) error {
	declared := mediaType(response) == mediaEventStream && coding(response) == ""
	if !declared {
		// Servers send streams as other things too, and OpenAI's SDKs read them. One
		// that doesn't say what it is gets the benefit of the doubt.
		switch found := peekForm(response); {
		case coding(response) != "":
			return notEventStream(response)
		case found == formJSON:
			return c.forwardWhole(ctx, op, count, response, outgoing)
		case found == formOther && !maybeEvents(response):
			return notEventStream(response)
		}
	}
	info, _ := connect.CallInfoForServerContext(ctx)
	info.ResponseHeader().Set("X-Accel-Buffering", "no") // or a buffering proxy in front starves the stream
	if err := outgoing.SendHeaders(); err != nil {
		return err
	}
	source := &eventSource{Reader: response.Body, judged: !declared}
	events := &eventStream{
		op:       op,
		count:    count,
		response: response,
		reader:   sse.NewReader(source, c.maxEvent),
		writer:   writerOf(ctx),
		deliver:  func(message proto.Message) error { return outgoing.Send(message) },
	}
	defer events.reader.Release()
	err := events.forward()
	if errors.Is(err, errJSONBody) {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(source.beginning), response.Body), response.Body}
		return c.forwardWhole(ctx, op, count, response, outgoing)
	}
	return err
}

// maybeEvents reports whether a body that begins as nothing known may be a stream:
// it doesn't say what it is, and isn't HTML.
func maybeEvents(response *http.Response) bool {
	if response.Header.Get("Content-Type") != "" {
		return false
	}
	beginning, err := response.Body.(*peekedBody).Peek(1)
	return err == nil && beginning[0] != '<'
}

// eventStream is a stream that is being passed on.
type eventStream struct {
	op       *operation
	count    int // of the items that were asked for
	response *http.Response
	reader   *sse.Reader
	writer   *responseWriter
	deliver  func(proto.Message) error
	keeps    bool // deliver keeps messages
	progress restjson.Progress
	broken   map[int32]bool       // items that failed by themselves
	arrived  int                  // events that were passed on
	messages restjson.Unmarshaler // of the events
}

// forward delivers each event as a message, until the stream is finished. One
// that ends unfinished is an error. Messages whose events are there together
// leave together, but none waits for an event that isn't there.
//
// A last event without its blank line counts if nothing was cut off behind it,
// which the framing of the body tells: see [isFramed].
func (s *eventStream) forward() error {
	s.writer.hold()
	message := s.op.NewResponse()
	for {
		if !s.reader.Buffered() {
			s.writer.release()
		}
		event, err := s.reader.Next()
		data := bytes.TrimSpace(event.Data)
		isLast := err == sse.ErrUnfinished && isFramed(s.response) //nolint:errorlint // as the package has it
		switch {
		case s.isDone(data):
			return nil
		case isErrorEvent(event):
			return s.errorEvent(event)
		case err != nil && (!isLast || len(data) == 0):
			return s.end(err)
		case len(data) == 0:
			continue // a keep-alive
		}
		if s.keeps && s.arrived > 0 {
			message = s.op.NewResponse()
		}
		proto.Reset(message) // Send has let go of it
		switch err := s.messages.Unmarshal(event.Data, message); {
		case err == nil:
			if err := s.pass(event.Data, message); err != nil {
				return err
			}
		case isNamed(event): // It is of a kind of its own: a status, a heartbeat.
		case isLast:
			return s.end(sse.ErrUnfinished)
		default:
			return s.failed(connect.CodeInternal, "the next event can't be read: "+err.Error(), event.Data)
		}
		if isLast {
			return s.end(io.EOF)
		}
	}
}

// pass delivers the message of an event.
func (s *eventStream) pass(data []byte, message restjson.Response) error {
	if err := s.op.errorInside(s.response, data, message); err != nil {
		return err
	}
	if err := s.itemErrors(data, message); err != nil {
		return err
	}
	s.arrived++
	s.op.Stream.Track(&s.progress, message)
	return s.deliver(message)
}

// isDone reports whether an event's data says that the stream is finished. Some
// servers have space around it, or quotes.
func (s *eventStream) isDone(data []byte) bool {
	const around = 8
	done := s.op.Stream.Done
	return len(data) >= len(done) && len(data) <= len(done)+around && strings.EqualFold(strings.Trim(string(data), " \""), done)
}

// isErrorEvent reports whether an event is named an error.
func isErrorEvent(event sse.Event) bool {
	return event.Type != "" && strings.EqualFold(strings.TrimSpace(event.Type), "error")
}

// isNamed reports whether an event has a name of its own: a message is what those
// without one are (WHATWG HTML, section 9.2.6).
func isNamed(event sse.Event) bool {
	return event.Type != "" && event.Type != "message"
}

// errorEvent is the error of an event that is named an error.
func (s *eventStream) errorEvent(event sse.Event) error {
	if detail := parseError(event.Data); detail != nil {
		return answerError(errorCode(detail), s.response, detail, event.Data)
	}
	return s.failed(connect.CodeUnknown, "an error event came", event.Data)
}

// end judges a stream that ended, or broke off, without the event that says
// that it is finished.
func (s *eventStream) end(err error) error {
	var large *sse.TooLargeError
	switch {
	case errors.Is(err, errJSONBody):
		return err
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
