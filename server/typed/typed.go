// Package typed serves REST operations as RPCs: it translates a request message
// into the request that OpenAI documents, and the answer back.
//
// It knows no message by name. What to send and how to read the answer is in
// the operations and codecs that are generated from the .proto files.
package typed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"connectrpc.com/connect/v2"
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

	// Logger is told, at level WARN, of each failure of the upstream: by RPC,
	// and what happened. Nil means silence.
	Logger *slog.Logger
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
		op := &operations[i]
		spec, err := newSpec(op)
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
