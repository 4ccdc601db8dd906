package server_test

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

// patience is how long a test waits for what must come at once.
const patience = 20 * time.Second

// within returns the test's context with a deadline, so that a call which hangs
// fails.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// call is a call of one of ChatService's RPCs.
type call struct {
	method  string // GetChatCompletion
	request proto.Message
	// metadata is sent beside servertest.Key, which an authorization in it
	// replaces.
	metadata http.Header
}

func (c call) procedure() string { return "/" + chatv1connect.ChatServiceName + "/" + c.method }

// typedClient makes calls in one protocol, by one implementation of it. Both
// functions return the response's metadata, and a *failure where the RPC failed.
type typedClient struct {
	name string
	// unary reads the answer into response.
	unary func(ctx context.Context, c call, response proto.Message) (http.Header, error)
	// stream gives each message to receive as soon as it arrives.
	stream func(ctx context.Context, c call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error)
}

// clientKind is a kind of client.
type clientKind struct {
	name string
	open func(testing.TB, *servertest.Front) typedClient
}

// clientKinds are Connect's client in every protocol, and two that share no code
// with the server: gRPC's and curl.
func clientKinds() []clientKind {
	kinds := []clientKind{
		{"gRPC by grpc-go", func(tb testing.TB, front *servertest.Front) typedClient {
			tb.Helper()
			return grpcClient(tb, front)
		}},
		{"Connect JSON by curl", curlClient},
	}
	for _, protocol := range servertest.Protocols() {
		kinds = append(kinds, clientKind{protocol.Name, func(tb testing.TB, front *servertest.Front) typedClient {
			tb.Helper()
			return connectClient(protocol.Name, front.Connect(tb, protocol))
		}})
	}
	return kinds
}

// failure is an RPC's error as clients of all kinds read it.
type failure struct {
	code    connect.Code
	message string
	detail  *restv1.Error         // nil without one
	retry   *errdetails.RetryInfo // nil without one
}

func (f *failure) Error() string { return f.code.String() + ": " + f.message }

// failureOf returns the failure that a client's error is.
func failureOf(tb testing.TB, err error) *failure {
	tb.Helper()
	failed, ok := errors.AsType[*failure](err)
	if !ok {
		tb.Fatalf("got %v, where an RPC's error was expected", err)
	}
	return failed
}

// newFailure makes a failure out of an error's parts.
func newFailure(code connect.Code, message string, details []*anypb.Any) error {
	failed := &failure{code: code, message: message}
	for _, packed := range details {
		detail, err := packed.UnmarshalNew()
		if err != nil {
			return fmt.Errorf("a detail of %w: %w", failed, err)
		}
		switch detail := detail.(type) {
		case *restv1.Error:
			failed.detail = detail
		case *errdetails.RetryInfo:
			failed.retry = detail
		default:
			return fmt.Errorf("%w has a detail that is a %T", failed, detail)
		}
	}
	return failed
}

// connectClient is Connect's client.
func connectClient(name string, client *connect.Client) typedClient {
	begin := func(ctx context.Context, c call) (context.Context, *connect.CallInfo) {
		ctx, info := connect.NewClientContext(ctx)
		for name, values := range c.metadata {
			info.RequestHeader().SetValues(name, values)
		}
		return ctx, info
	}
	end := func(info *connect.CallInfo, err error) (http.Header, error) {
		header := make(http.Header)
		maps.Insert(header, info.ResponseHeader().All())
		return header, connectFailure(err)
	}
	return typedClient{
		name: name,
		unary: func(ctx context.Context, c call, response proto.Message) (http.Header, error) {
			ctx, info := begin(ctx, c)
			return end(info, client.CallUnary(ctx, specOf(c), c.request, response))
		},
		stream: func(ctx context.Context, c call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error) {
			ctx, info := begin(ctx, c)
			stream, err := client.CallServerStream(ctx, specOf(c), c.request)
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

// specOf is what Connect's client has to know of an RPC.
func specOf(c call) connect.Spec {
	spec := connect.Spec{Procedure: c.procedure(), StreamType: connect.StreamTypeUnary}
	name := protoreflect.FullName(chatv1connect.ChatServiceName + "." + c.method)
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return spec // A test may call what isn't there.
	}
	method := found.(protoreflect.MethodDescriptor)
	spec.Schema = method
	spec.IdempotencyLevel = connect.IdempotencyLevel(method.Options().(*descriptorpb.MethodOptions).GetIdempotencyLevel())
	if method.IsStreamingServer() {
		spec.StreamType = connect.StreamTypeServer
	}
	return spec
}

func connectFailure(err error) error {
	remote, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	var details []*anypb.Any
	for _, detail := range remote.Details() {
		details = append(details, &anypb.Any{TypeUrl: "type.googleapis.com/" + detail.Type, Value: detail.Value})
	}
	return newFailure(remote.Code(), remote.Message(), details)
}

// grpcClient is the real gRPC implementation.
func grpcClient(tb testing.TB, front *servertest.Front, options ...grpc.DialOption) typedClient {
	tb.Helper()
	conn := front.GRPC(tb, options...)
	begin := func(ctx context.Context, c call) context.Context {
		outgoing := metadata.Pairs("authorization", "Bearer "+servertest.Key)
		for name, values := range c.metadata {
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
		return all, grpcFailure(err)
	}
	return typedClient{
		name: "gRPC by grpc-go",
		unary: func(ctx context.Context, c call, response proto.Message) (http.Header, error) {
			var header, trailer metadata.MD
			err := conn.Invoke(begin(ctx, c), c.procedure(), c.request, response, grpc.Header(&header), grpc.Trailer(&trailer))
			return end(header, trailer, err)
		},
		stream: func(ctx context.Context, c call, receive func(*chatv1.ChatCompletionChunk)) (http.Header, error) {
			ctx, cancel := context.WithCancel(begin(ctx, c))
			defer cancel()
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, c.procedure())
			if err != nil {
				return end(nil, nil, err)
			}
			if stream.SendMsg(c.request) == nil { // Or receiving says why not.
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

func grpcFailure(err error) error {
	remote, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	return newFailure(connect.Code(remote.Code()), remote.Message(), remote.Proto().GetDetails())
}
