// Package transcode serves REST operations as RPCs. It translates request messages
// into the REST requests of OpenAI's API, and the responses into messages.
//
// The package does not depend on particular messages. The operations and codecs
// generated from the .proto files define the requests and responses.
package transcode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Defaults of [Config].
const (
	DefaultMaxReplyBytes = 64 << 20
	DefaultMaxEventBytes = 16 << 20
)

// Config configures [Register].
type Config struct {
	// Upstream sends the REST requests.
	Upstream upstream.Sender

	// MaxReplyBytes is the maximum size of the response to a unary call, in bytes.
	// Zero means [DefaultMaxReplyBytes].
	MaxReplyBytes int

	// MaxEventBytes is the maximum size of an event of a stream, in bytes. Zero means
	// [DefaultMaxEventBytes].
	MaxEventBytes int

	// Accumulators return accumulators for the messages of a stream, by the procedure
	// of the unary RPC with the same result. Without an accumulator, a stream in
	// response to a unary call is an error.
	Accumulators map[string]func() Accumulator

	// Logger logs upstream failures at level WARN. Nil disables logging.
	Logger *slog.Logger
}

// Accumulator assembles the messages of a stream into the response of the unary RPC.
type Accumulator interface {
	// Add adds the next message. The accumulator may retain parts of it.
	Add(message proto.Message)
	// Reply returns the response so far.
	Reply() proto.Message
}

// operation is a served operation.
type operation struct {
	*restjson.Operation

	// other is the operation with the same result in the other form, unary or
	// stream, or nil.
	other *restjson.Operation
	// accumulate returns a new accumulator. It may be nil.
	accumulate func() Accumulator
	// items are the parts of a response that may fail separately, or nil.
	items *items
}

// newOperation returns a served operation, linked to the operation with the same
// result in the other form.
func newOperation(op *restjson.Operation, operations []restjson.Operation, config Config) *operation {
	served := &operation{Operation: op}
	for i := range operations {
		other := &operations[i]
		switch {
		case op.Stream != nil && op.Stream.UnaryVariant != nil && op.Stream.UnaryVariant.Procedure == other.Procedure:
			served.other, served.items = other, &items{op.Stream.UnaryVariant.List, op.Stream.UnaryVariant.Key, op.Stream.UnaryVariant.Delta}
		case other.Stream != nil && other.Stream.UnaryVariant != nil && other.Stream.UnaryVariant.Procedure == op.Procedure:
			served.other, served.items = other, &items{other.Stream.UnaryVariant.List, other.Stream.UnaryVariant.Key, other.Stream.UnaryVariant.Full}
			served.accumulate = config.Accumulators[op.Procedure]
		}
	}
	return served
}

// Register registers the operations as RPCs of server. It returns an error if an
// operation has no descriptor.
func Register(server *connect.Server, config Config, operations []restjson.Operation) error {
	t := &transcoder{
		upstream: config.Upstream,
		maxReply: cmp.Or(config.MaxReplyBytes, DefaultMaxReplyBytes),
		maxEvent: cmp.Or(config.MaxEventBytes, DefaultMaxEventBytes),
		logger:   config.Logger,
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	for i := range operations {
		op := newOperation(&operations[i], operations, config)
		spec, err := newSpec(op.Operation)
		if err != nil {
			return err
		}
		handler := t.unary(op)
		if op.Stream != nil {
			handler = t.stream(op)
		}
		server.Register(connect.Method{Spec: spec, Handler: t.logged(handler)})
	}
	return nil
}

// transcoder handles RPCs.
type transcoder struct {
	upstream upstream.Sender
	maxReply int
	maxEvent int
	logger   *slog.Logger
}

// logged logs upstream failures. An error response is not a failure.
func (t *transcoder) logged(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if failure, ok := errors.AsType[*upstream.Error](err); ok {
			t.logger.WarnContext(ctx, "upstream failed", "rpc", spec.Procedure, "error", failure)
		}
		return err
	}
}

func newSpec(op *restjson.Operation) (connect.Spec, error) {
	name := strings.ReplaceAll(strings.TrimPrefix(op.Procedure, "/"), "/", ".")
	desc, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return connect.Spec{}, fmt.Errorf("operation %s: %w", op.Procedure, err)
	}
	spec := connect.Spec{Procedure: op.Procedure, Schema: desc, StreamType: connect.StreamTypeUnary}
	if op.Stream != nil {
		spec.StreamType = connect.StreamTypeServer
	}
	options, _ := desc.Options().(*descriptorpb.MethodOptions)
	spec.IdempotencyLevel = connect.IdempotencyLevel(options.GetIdempotencyLevel())
	return spec, nil
}
