package transcode

import (
	"context"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/sse"
)

// accumulated is the answer to a unary call that came as a stream, as some
// upstreams send regardless of the request. It must be finished as any stream.
func (c *caller) accumulated(op *operation, count int, response *http.Response) (proto.Message, error) {
	accumulator := op.accumulate()
	stream := *op
	stream.Operation, stream.items = op.other, &items{op.other.Stream.Whole.List, op.other.Stream.Whole.Key, op.other.Stream.Whole.Piece}
	limited := &limitedBody{source: response.Body, left: c.maxReply}
	events := &eventStream{
		op:       &stream,
		count:    count,
		response: response,
		reader:   sse.NewReader(limited, c.maxEvent),
		keeps:    true,
		deliver: func(message proto.Message) error {
			accumulator.Add(message)
			return nil
		},
	}
	defer events.reader.Release()
	err := events.forward()
	if limited.left < 0 {
		return nil, tooLarge(response, c.maxReply)
	}
	if err != nil {
		return nil, err
	}
	return accumulator.Reply(), nil
}

// limitedBody is a body that breaks off beyond a limit. What is left is negative
// then.
type limitedBody struct {
	source io.Reader
	left   int
}

var errTooLarge = errors.New("the body is too large")

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// forwardWhole passes an answer on that came in one message where a stream was
// asked for: as the messages of a stream, one for each item.
func (c *caller) forwardWhole(ctx context.Context, op *operation, count int, response *http.Response, outgoing connect.ServerStream) error {
	if writer := writerOf(ctx); writer != nil { // A stream isn't kept, but this is.
		response.Body = writer.memory.Reader(response.Body)
	}
	body, err := readReply(response, c.maxReply)
	if err != nil {
		return err
	}
	if op.other == nil {
		return noStream(response, body)
	}
	answer := op.other.NewResponse()
	if err := restjson.Unmarshal(body, answer); err != nil {
		return replyError(response, body, err)
	}
	whole := op.Stream.Whole
	inWhole := &operation{Operation: op.other, items: &items{whole.List, whole.Key, whole.Item}}
	if err := inWhole.errorInside(response, body, answer); err != nil {
		return err
	}
	text, isWhole, err := whole.AppendPiece(make([]byte, 0, len(body)), body)
	message := op.NewResponse()
	if err == nil {
		err = restjson.Unmarshal(text, message)
	}
	if err != nil {
		return replyError(response, body, err)
	}
	if !hasFields(message) {
		return noStream(response, body)
	}
	if isWhole {
		return sendAll(outgoing, splitItems(message, whole.List))
	}
	// It is a message of the stream, which has to be finished.
	if err := op.errorInside(response, body, message); err != nil {
		return err
	}
	if err := outgoing.Send(message); err != nil {
		return err
	}
	var progress restjson.Progress
	op.Stream.Track(&progress, message)
	if !progress.Complete(count) {
		return ownError(connect.CodeUnavailable, response, nil, "the upstream's stream ended after 1 event: it was not finished")
	}
	return nil
}

func sendAll(outgoing connect.ServerStream, messages []proto.Message) error {
	for _, message := range messages {
		if err := outgoing.Send(message); err != nil {
			return err
		}
	}
	return nil
}

// splitItems returns a message for each item in a message's list. What says of
// which answer they are stands in each, and all else in the last one.
func splitItems(message proto.Message, list string) []proto.Message {
	m := message.ProtoReflect()
	field := fieldOf(m.Descriptor(), list)
	if field == nil || !m.Has(field) || m.Get(field).List().Len() < 2 {
		return []proto.Message{message}
	}
	all := m.Get(field).List()
	pieces := make([]proto.Message, all.Len())
	for i := range pieces {
		piece := m.New()
		m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			if f != field && (i == len(pieces)-1 || repeats(f)) {
				piece.Set(f, value)
			}
			return true
		})
		piece.Mutable(field).List().Append(all.Get(i))
		pieces[i] = piece.Interface()
	}
	return pieces
}

// repeats reports whether each message of a stream has a field: a scalar, or the
// time, but not what is told once, such as usage.
func repeats(field protoreflect.FieldDescriptor) bool {
	if field.IsList() || field.IsMap() || field.Name() == "extra_json" {
		return false
	}
	return field.Message() == nil || field.Message().FullName() == "google.protobuf.Timestamp"
}

// fieldOf returns the field of a message that is the member of this name, and nil
// without one.
func fieldOf(message protoreflect.MessageDescriptor, member string) protoreflect.FieldDescriptor {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		option, _ := proto.GetExtension(field.Options(), restv1.E_Member).(*restv1.Member)
		if name := option.GetName(); name == member || name == "" && string(field.Name()) == member {
			return field
		}
	}
	return nil
}

// hasFields reports whether a message has anything but an extra_json.
func hasFields(message proto.Message) (has bool) {
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		has = field.Name() != "extra_json"
		return !has
	})
	return has
}
