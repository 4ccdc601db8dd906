package e2etest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Timeout bounds the wait for anything that should happen at once.
const Timeout = 20 * time.Second

// Context returns the test's context with a deadline of [Timeout].
func Context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	t.Cleanup(cancel)
	return ctx
}

// Call is a call of one of ChatService's RPCs.
type Call struct {
	Method  string // such as GetChatCompletion
	Request proto.Message
	// Metadata is sent in addition to servertest.Key. An Authorization value in
	// it replaces the key.
	Metadata http.Header
}

// Procedure returns the URL path of the RPC.
func (c Call) Procedure() string { return "/" + chatv1connect.ChatServiceName + "/" + c.Method }

// Client makes calls in one protocol with one implementation of it. Both
// functions return the response metadata, and an [*RPCError] if the RPC failed.
type Client struct {
	Name string
	// Unary decodes the response message into response.
	Unary func(ctx context.Context, c Call, response proto.Message) (http.Header, error)
	// Stream passes each message to receive as soon as it arrives.
	Stream func(ctx context.Context, c Call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error)
}

// ClientKind opens clients of one kind.
type ClientKind struct {
	Name string
	Open func(testing.TB, *servertest.Front) Client
}

// ClientKinds returns Connect's client for every protocol, and two kinds that
// share no code with the server: grpc-go and curl.
func ClientKinds() []ClientKind {
	kinds := []ClientKind{
		{"grpc-go", func(tb testing.TB, front *servertest.Front) Client {
			tb.Helper()
			return NewGRPCClient(tb, front)
		}},
		{"Connect JSON with curl", curlClient},
	}
	for _, protocol := range servertest.Protocols() {
		kinds = append(kinds, ClientKind{protocol.Name, func(tb testing.TB, front *servertest.Front) Client {
			tb.Helper()
			return NewConnectClient(protocol.Name, front.Connect(tb, protocol))
		}})
	}
	return kinds
}

// RPCError is the error of an RPC, in a form common to all kinds of clients.
type RPCError struct {
	Code    connect.Code
	Message string
	Detail  *restv1.Error         // nil if absent
	Retry   *errdetails.RetryInfo // nil if absent
}

func (f *RPCError) Error() string { return f.Code.String() + ": " + f.Message }

// AsRPCError returns err as an [*RPCError], and fails the test if it is another
// kind of error.
func AsRPCError(tb testing.TB, err error) *RPCError {
	tb.Helper()
	failed, ok := errors.AsType[*RPCError](err)
	if !ok {
		tb.Fatalf("got error %v, want an RPC error", err)
	}
	return failed
}

// newRPCError returns an error with these parts.
func newRPCError(code connect.Code, message string, details []*anypb.Any) error {
	failed := &RPCError{Code: code, Message: message}
	for _, packed := range details {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			return fmt.Errorf("unpack a detail of %w: %w", failed, err)
		}
		switch detail := detail.(type) {
		case *restv1.Error:
			failed.Detail = detail
		case *errdetails.RetryInfo:
			failed.Retry = detail
		default:
			return fmt.Errorf("%w has an unexpected detail of type %T", failed, detail)
		}
	}
	return failed
}

// NewConnectClient returns a [Client] that uses Connect's client.
func NewConnectClient(name string, client *connect.Client) Client {
	begin := func(ctx context.Context, c Call) (context.Context, *connect.CallInfo) {
		ctx, info := connect.NewClientContext(ctx)
		for name, values := range c.Metadata {
			info.RequestHeader().SetValues(name, values)
		}
		return ctx, info
	}
	end := func(info *connect.CallInfo, err error) (http.Header, error) {
		header := make(http.Header)
		maps.Insert(header, info.ResponseHeader().All())
		return header, connectError(err)
	}
	return Client{
		Name: name,
		Unary: func(ctx context.Context, c Call, response proto.Message) (http.Header, error) {
			ctx, info := begin(ctx, c)
			return end(info, client.CallUnary(ctx, Spec(c), c.Request, response))
		},
		Stream: func(ctx context.Context, c Call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error) {
			ctx, info := begin(ctx, c)
			stream, err := client.CallServerStream(ctx, Spec(c), c.Request)
			if err != nil {
				return end(info, err)
			}
			defer stream.Close()
			for {
				chunk := new(chatv1.ChatCompletionChunk)
				if err := stream.Receive(chunk); errors.Is(err, io.EOF) {
					return end(info, nil)
				} else if err != nil {
					return end(info, err)
				}
				receive(chunk)
			}
		},
	}
}

// Spec returns the description of the RPC for Connect's client.
func Spec(c Call) connect.Spec {
	spec := connect.Spec{Procedure: c.Procedure(), StreamType: connect.StreamTypeUnary}
	name := protoreflect.FullName(chatv1connect.ChatServiceName + "." + c.Method)
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return spec // Tests also call unknown methods.
	}
	method := found.(protoreflect.MethodDescriptor)
	spec.Schema = method
	spec.IdempotencyLevel = connect.IdempotencyLevel(method.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel())
	if method.IsStreamingServer() {
		spec.StreamType = connect.StreamTypeServer
	}
	return spec
}

func connectError(err error) error {
	remote, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	var details []*anypb.Any
	for _, detail := range remote.Details() {
		details = append(details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type, Value: detail.Value})
	}
	return newRPCError(remote.Code(), remote.Message(), details)
}

// NewGRPCClient returns a [Client] that uses grpc-go.
func NewGRPCClient(tb testing.TB, front *servertest.Front, options ...grpc.DialOption) Client {
	tb.Helper()
	conn := front.GRPC(tb, options...)
	begin := func(ctx context.Context, c Call) context.Context {
		outgoing := metadata.Pairs("authorization", "Bearer "+servertest.Key)
		for name, values := range c.Metadata {
			outgoing.Set(name, values...)
		}
		return metadata.NewOutgoingContext(ctx, outgoing)
	}
	end := func(header, trailer metadata.MD, err error) (http.Header, error) {
		all := make(http.Header)
		for name, values := range header {
			all[textproto.CanonicalMIMEHeaderKey(name)] = values
		}
		for name, values := range trailer {
			if name = textproto.CanonicalMIMEHeaderKey(name); !slices.Equal(all[name], values) { // An error repeats the headers.
				all[name] = append(all[name], values...)
			}
		}
		return all, GRPCError(err)
	}
	return Client{
		Name: "grpc-go",
		Unary: func(ctx context.Context, c Call, response proto.Message) (http.Header, error) {
			var header, trailer metadata.MD
			err := conn.Invoke(begin(ctx, c), c.Procedure(), c.Request, response, grpc.Header(&header), grpc.Trailer(&trailer))
			return end(header, trailer, err)
		},
		Stream: func(ctx context.Context, c Call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error) {
			ctx, cancel := context.WithCancel(begin(ctx, c))
			defer cancel()
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, c.Procedure())
			if err != nil {
				return end(nil, nil, err)
			}
			if stream.SendMsg(c.Request) == nil { // RecvMsg returns the error otherwise.
				_ = stream.CloseSend()
			}
			for {
				chunk := new(chatv1.ChatCompletionChunk)
				if err := stream.RecvMsg(chunk); err != nil {
					header, _ := stream.Header()
					if errors.Is(err, io.EOF) {
						err = nil
					}
					return end(header, stream.Trailer(), err)
				}
				receive(chunk)
			}
		},
	}
}

// GRPCError converts an error of grpc-go to an [*RPCError].
func GRPCError(err error) error {
	remote, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	return newRPCError(connect.Code(remote.Code()), remote.Message(), remote.Proto().GetDetails())
}
