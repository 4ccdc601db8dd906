// Package transcode serves REST operations as RPCs: it translates a request message
// into the request that OpenAI documents, and the answer back.
//
// It knows no message by name. What to send and how to read the answer is in
// the operations and codecs that are generated from the .proto files.
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

// Config says where calls go, and what answers are too large.
type Config struct {
	// Upstream is where calls go.
	Upstream upstream.Sender

	// MaxReplyBytes bounds the answer to a unary call. Zero means
	// [DefaultMaxReplyBytes].
	MaxReplyBytes int

	// MaxEventBytes bounds one event of a stream. Zero means
	// [DefaultMaxEventBytes].
	MaxEventBytes int

	// Accumulators make what puts the messages of a stream together to one answer,
	// by the procedure of the unary RPC that gives that. Without one, a stream in
	// answer to a unary call is an error.
	Accumulators map[string]func() Accumulator

	// Logger is told, at level WARN, of each failure of the upstream: by RPC,
	// and what happened. Nil means silence.
	Logger *slog.Logger
}

// Accumulator puts the messages of a stream together to the answer that a unary
// call would have given.
type Accumulator interface {
	// Add adds the next message, of which it may keep parts.
	Add(message proto.Message)
	// Reply returns the answer so far.
	Reply() proto.Message
}

// operation is an operation that is served.
type operation struct {
	*restjson.Operation

	// other gives the same answer in the other form: in one message for a stream,
	// and in a stream for one message. Nil where there is none.
	other *restjson.Operation
	// accumulate makes what turns a stream into an answer. Nil where nothing does.
	accumulate func() Accumulator
	// items are the parts of an answer that may fail by themselves. Nil where
	// there are none.
	items *items
}

// newOperation returns one of the operations with what it shares with others.
func newOperation(op *restjson.Operation, operations []restjson.Operation, config Config) *operation {
	served := &operation{Operation: op}
	for i := range operations {
		other := &operations[i]
		switch {
		case op.Stream != nil && op.Stream.Whole != nil && op.Stream.Whole.Procedure == other.Procedure:
			served.other, served.items = other, &items{op.Stream.Whole.List, op.Stream.Whole.Key, op.Stream.Whole.Piece}
		case other.Stream != nil && other.Stream.Whole != nil && other.Stream.Whole.Procedure == op.Procedure:
			served.other, served.items = other, &items{other.Stream.Whole.List, other.Stream.Whole.Key, other.Stream.Whole.Item}
			served.accumulate = config.Accumulators[op.Procedure]
		}
	}
	return served
}

// Register serves operations on server.
func Register(server *connect.Server, config Config, operations []restjson.Operation) error {
	c := &caller{
		upstream: config.Upstream,
		maxReply: cmp.Or(config.MaxReplyBytes, DefaultMaxReplyBytes),
		maxEvent: cmp.Or(config.MaxEventBytes, DefaultMaxEventBytes),
		logger:   config.Logger,
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	for i := range operations {
		op := newOperation(&operations[i], operations, config)
		spec, err := newSpec(op.Operation)
		if err != nil {
			return err
		}
		handler := c.unary(op)
		if op.Stream != nil {
			handler = c.stream(op)
		}
		server.Register(connect.Method{Spec: spec, Handler: c.logged(handler)})
	}
	return nil
}

// caller makes calls to the upstream.
type caller struct {
	upstream upstream.Sender
	maxReply int
	maxEvent int
	logger   *slog.Logger
}

// logged logs the calls in which the upstream failed: where it answered, if
// with an error, it did not.
func (c *caller) logged(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if failure, ok := errors.AsType[*upstream.Error](err); ok {
			c.logger.WarnContext(ctx, "upstream failed", "rpc", spec.Procedure, "error", failure)
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
