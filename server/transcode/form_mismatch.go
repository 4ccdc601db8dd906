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

// accumulate returns the response of a unary call that the upstream sent as a
// stream: some upstreams always stream. The stream must be finished.
func (t *transcoder) accumulate(op *operation, count int, response *http.Response) (proto.Message, error) {
	accumulator := op.accumulate()
	stream := *op
	stream.Operation, stream.items = op.other, &items{op.other.Stream.UnaryVariant.List, op.other.Stream.UnaryVariant.Key, op.other.Stream.UnaryVariant.Delta}
	limited := &limitedBody{source: response.Body, remaining: t.maxReply}
	events := &eventStream{
		op:           &stream,
		count:        count,
		response:     response,
		reader:       sse.NewReader(limited, t.maxEvent),
		keepsMessage: true,
		deliver: func(message proto.Message) error {
			accumulator.Add(message)
			return nil
		},
	}
	defer events.reader.Release()
	err := events.forward()
	if limited.remaining < 0 {
		return nil, tooLarge(response, t.maxReply)
	}
	if err != nil {
		return nil, err
	}
	return accumulator.Reply(), nil
}

// limitedBody is a body that fails beyond a limit. The number of remaining bytes is
// negative then.
type limitedBody struct {
	source    io.Reader
	remaining int
}

var errTooLarge = errors.New("the body is too large")

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.source.Read(p)
	if b.remaining -= n; b.remaining < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// forwardJSON sends a JSON response to a streaming call as the messages of a stream,
// one for each item: some upstreams never stream.
func (t *transcoder) forwardJSON(ctx context.Context, op *operation, count int, response *http.Response, outgoing connect.ServerStream) error {
	if writer := writerOf(ctx); writer != nil { // Unlike a stream, it is buffered.
		response.Body = writer.memory.Reader(response.Body)
	}
	body, err := readReply(response, t.maxReply)
	if err != nil {
		return err
	}
	if op.other == nil {
		return notStream(response, body)
	}
	reply := op.other.NewResponse()
	if err := restjson.Unmarshal(body, reply); err != nil {
		return decodeError(response, body, err)
	}
	whole := op.Stream.UnaryVariant
	unary := &operation{Operation: op.other, items: &items{whole.List, whole.Key, whole.Full}}
	if err := unary.embeddedError(response, body, reply); err != nil {
		return err
	}
	text, isWhole, err := whole.AppendChunk(make([]byte, 0, len(body)), body)
	message := op.NewResponse()
	if err == nil {
		err = restjson.Unmarshal(text, message)
	}
	if err != nil {
		return decodeError(response, body, err)
	}
	if !hasFields(message) {
		return notStream(response, body)
	}
	if isWhole {
		return sendAll(outgoing, splitItems(message, whole.List))
	}
	// The body is a message of a stream, which must be finished.
	if err := op.embeddedError(response, body, message); err != nil {
		return err
	}
	if err := outgoing.Send(message); err != nil {
		return err
	}
	var progress restjson.Progress
	op.Stream.Track(&progress, message)
	if !progress.Complete(count) {
		return proxyError(connect.CodeUnavailable, response, nil, "the upstream's stream ended after 1 event: it was not finished")
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

// splitItems returns a message for each item in a message's list. Each contains the
// scalar fields, such as the id. Other fields are in the last message.
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
			if f != field && (i == len(pieces)-1 || isRepeated(f)) {
				piece.Set(f, value)
			}
			return true
		})
		piece.Mutable(field).List().Append(all.Get(i))
		pieces[i] = piece.Interface()
	}
	return pieces
}

// isRepeated reports whether every message of a stream contains a field: scalars and
// timestamps, but not messages such as usage.
func isRepeated(field protoreflect.FieldDescriptor) bool {
	if field.IsList() || field.IsMap() || field.Name() == "extra_json" {
		return false
	}
	return field.Message() == nil || field.Message().FullName() == "google.protobuf.Timestamp"
}

// fieldOf returns the field of a message with a JSON name, or nil.
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

// hasFields reports whether any field of a message except extra_json is set.
func hasFields(message proto.Message) (has bool) {
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		has = field.Name() != "extra_json"
		return !has
	})
	return has
}
