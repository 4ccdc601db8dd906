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

// stream serves an operation whose response is a stream of Server-Sent Events.
func (t *transcoder) stream(op *operation) connect.ServerFunc {
	return func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		request := op.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		upstreamCtx, control := newUpstreamContext(ctx)
		defer control.end()
		response, err := t.send(upstreamCtx, op, request)
		if err != nil {
			return err
		}
		// The request, which may be large, is not referenced during the stream.
		if err := t.forward(ctx, op, op.Stream.Count(request), response, stream); err != nil {
			_ = response.Body.Close()
			return failed(ctx, response, err)
		}
		control.drain(response.Body)
		return nil
	}
}

// forward sends the events of a response as messages. The request asked for count
// items.
func (t *transcoder) forward(
	ctx context.Context, op *operation, count int, response *http.Response, outgoing connect.ServerStream,
) error {
	declared := mediaType(response) == mediaEventStream && contentEncoding(response) == ""
	if !declared {
		// Some upstreams send streams with another media type or none, and OpenAI's
		// SDKs accept them.
		switch found := peekForm(response); {
		case contentEncoding(response) != "":
			return notEventStream(response)
		case found == formJSON:
			return t.forwardJSON(ctx, op, count, response, outgoing)
		case found == formOther && !maybeEvents(response):
			return notEventStream(response)
		}
	}
	info, _ := connect.CallInfoForServerContext(ctx)
	info.ResponseHeader().Set("X-Accel-Buffering", "no") // prevents buffering by nginx
	if err := outgoing.SendHeaders(); err != nil {
		return err
	}
	source := &eventSource{Reader: response.Body, checked: !declared}
	events := &eventStream{
		op:       op,
		count:    count,
		response: response,
		reader:   sse.NewReader(source, t.maxEvent),
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
		return t.forwardJSON(ctx, op, count, response, outgoing)
	}
	return err
}

// maybeEvents reports whether a body with an unknown start may be a stream: it has
// no Content-Type and is not HTML.
func maybeEvents(response *http.Response) bool {
	if response.Header.Get("Content-Type") != "" {
		return false
	}
	beginning, err := response.Body.(*peekedBody).Peek(1)
	return err == nil && beginning[0] != '<'
}

// eventStream forwards the events of a stream.
type eventStream struct {
	op           *operation
	count        int // requested items
	response     *http.Response
	reader       *sse.Reader
	writer       *responseWriter
	deliver      func(proto.Message) error
	keepsMessage bool // deliver retains messages
	progress     restjson.Progress
	failedItems  map[int32]bool // items with an error
	delivered    int            // events
	decoder      restjson.Unmarshaler
}

// forward delivers each event as a message until the stream is finished. A stream
// that ends unfinished is an error. Messages of events that arrive together are
// flushed together; no message is delayed.
//
// A last event without the terminating blank line is accepted if the framing of the
// body shows that nothing is missing: see [isFramed].
func (s *eventStream) forward() error {
	s.writer.pauseFlush()
	message := s.op.NewResponse()
	for {
		if !s.reader.Buffered() {
			s.writer.resumeFlush()
		}
		event, err := s.reader.Next()
		data := bytes.TrimSpace(event.Data)
		isLast := err == sse.ErrUnfinished && isFramed(s.response) //nolint:errorlint // documented at ErrUnfinished
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
		if s.keepsMessage && s.delivered > 0 {
			message = s.op.NewResponse()
		}
		proto.Reset(message)
		switch err := s.decoder.Unmarshal(event.Data, message); {
		case err == nil:
			if err := s.pass(event.Data, message); err != nil {
				return err
			}
		case isNamed(event): // an extension of the upstream, such as a heartbeat
		case isLast:
			return s.end(sse.ErrUnfinished)
		default:
			return s.failed(connect.CodeInternal, "the next event is invalid: "+err.Error(), event.Data)
		}
		if isLast {
			return s.end(io.EOF)
		}
	}
}

// pass delivers the message of an event, unless it contains an error.
func (s *eventStream) pass(data []byte, message restjson.Response) error {
	if err := s.op.embeddedError(s.response, data, message); err != nil {
		return err
	}
	if err := s.itemErrors(data, message); err != nil {
		return err
	}
	s.delivered++
	s.op.Stream.Track(&s.progress, message)
	return s.deliver(message)
}

// isDone reports whether the data of an event is the end marker of the stream. Some
// upstreams add spaces or quotes.
func (s *eventStream) isDone(data []byte) bool {
	const maxPadding = 8
	done := s.op.Stream.Done
	return len(data) >= len(done) && len(data) <= len(done)+maxPadding && strings.EqualFold(strings.Trim(string(data), " \""), done)
}

// isErrorEvent reports whether the type of an event is "error".
func isErrorEvent(event sse.Event) bool {
	return event.Type != "" && strings.EqualFold(strings.TrimSpace(event.Type), "error")
}

// isNamed reports whether an event has a type other than the default, "message"
// (WHATWG HTML, section 9.2.6).
func isNamed(event sse.Event) bool {
	return event.Type != "" && event.Type != "message"
}

// errorEvent returns the error of an event of type "error".
func (s *eventStream) errorEvent(event sse.Event) error {
	if detail := parseError(event.Data); detail != nil {
		return upstreamError(errorCode(detail), s.response, detail, event.Data)
	}
	return s.failed(connect.CodeUnknown, "an error event arrived", event.Data)
}

// end returns the result of a stream that ended or failed without the end marker.
func (s *eventStream) end(err error) error {
	var large *sse.TooLargeError
	switch {
	case errors.Is(err, errJSONBody):
		return err
	case errors.Is(err, io.EOF) && s.progress.Complete(s.count):
		return nil
	case errors.Is(err, io.EOF) && s.delivered == 0:
		return proxyError(connect.CodeInternal, s.response, nil, "the upstream's stream ended before its first event")
	case errors.As(err, &large):
		return s.failed(connect.CodeResourceExhausted, err.Error(), nil)
	case errors.Is(err, io.EOF), errors.Is(err, sse.ErrUnfinished):
		return s.failed(connect.CodeUnavailable, "it was not finished", nil)
	}
	failure := sendError(s.response, err)
	return s.failed(failure.Code(), failure.Message(), nil)
}

// failed returns the error of a stream that failed, with the number of delivered
// events and the event at fault.
func (s *eventStream) failed(code connect.Code, reason string, event []byte) error {
	events := "events"
	if s.delivered == 1 {
		events = "event"
	}
	return proxyError(code, s.response, event, fmt.Sprintf("the upstream's stream ended after %d %s: %s", s.delivered, events, reason))
}
