package conformance_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// registerService adds connectrpc.conformance.v1.ConformanceService to rpc. Its methods
// respond as the request defines and report the received request. The comments in
// connectrpc/conformance/v1/service.proto specify the methods.
//
// Unimplemented is omitted because the server must reject it. Client-streaming methods
// are omitted because suite.yaml excludes them.
func registerService(rpc *connect.Server) {
	const name = "connectrpc.conformance.v1.ConformanceService"
	descriptor, _ := protoregistry.GlobalFiles.FindDescriptorByName(name)
	service, ok := descriptor.(protoreflect.ServiceDescriptor)
	if !ok {
		panic(descriptorSetPath + " has no service " + name)
	}
	methods := service.Methods()
	rpc.Register(
		newMethod(methods.ByName("Unary"), connect.StreamTypeUnary, unary),
		newMethod(methods.ByName("IdempotentUnary"), connect.StreamTypeUnary, unary),
		newMethod(methods.ByName("ServerStream"), connect.StreamTypeServer, serverStream),
	)
}

// A handler handles the calls of a method.
type handler func(ctx context.Context, method protoreflect.MethodDescriptor, stream connect.ServerStream) error

func newMethod(method protoreflect.MethodDescriptor, streamType connect.StreamType, handle handler) connect.Method {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return connect.Method{
		Spec: connect.Spec{
			StreamType:       streamType,
			IdempotencyLevel: connect.IdempotencyLevel(options.GetIdempotencyLevel()),
			Schema:           method,
			Procedure:        fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name()),
		},
		Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
			return handle(ctx, method, stream)
		},
	}
}

func unary(ctx context.Context, method protoreflect.MethodDescriptor, stream connect.ServerStream) error {
	definition, requestInfo, err := receive(ctx, method, stream)
	if err != nil {
		return err
	}
	if err := delay(ctx, definition); err != nil {
		return err
	}
	if err := definedError(definition, requestInfo); err != nil {
		return err
	}
	response := newResponse(method, definition.get("response_data"))
	response.mutable("payload").set("request_info", protoreflect.ValueOfMessage(requestInfo))
	return stream.Send(response.Interface())
}

func serverStream(ctx context.Context, method protoreflect.MethodDescriptor, stream connect.ServerStream) error {
	definition, requestInfo, err := receive(ctx, method, stream)
	if err != nil {
		return err
	}
	data := definition.get("response_data").List()
	if data.Len() == 0 {
		return definedError(definition, requestInfo)
	}
	if err := stream.SendHeaders(); err != nil {
		return err
	}
	for i := range data.Len() {
		if err := delay(ctx, definition); err != nil {
			return err
		}
		response := newResponse(method, data.Get(i))
		if i == 0 {
			response.mutable("payload").set("request_info", protoreflect.ValueOfMessage(requestInfo))
		}
		if err := stream.Send(response.Interface()); err != nil {
			return err
		}
	}
	return definedError(definition)
}

// receive reads the request of a call. It returns the definition of the response and the
// RequestInfo that describes the request. It also sets the headers and trailers of the
// response.
func receive(
	ctx context.Context, method protoreflect.MethodDescriptor, stream connect.ServerStream,
) (definition, requestInfo message, err error) {
	request := newMessage(method.Input().FullName())
	if err := stream.Receive(request.Interface()); err != nil {
		return message{}, message{}, err
	}
	if requestInfo, err = newRequestInfo(ctx, request); err != nil {
		return message{}, message{}, err
	}
	definition = request.message("response_definition")
	call, _ := connect.CallInfoForServerContext(ctx)
	for header := range definition.messages("response_headers") {
		copyHeader(call.ResponseHeader(), header)
	}
	for trailer := range definition.messages("response_trailers") {
		copyHeader(call.ResponseTrailer(), trailer)
	}
	return definition, requestInfo, nil
}

// newRequestInfo returns a description of a call: its headers, remaining time and
// message, and the query parameters of a GET request.
func newRequestInfo(ctx context.Context, request message) (message, error) {
	info := newMessage("connectrpc.conformance.v1.ConformancePayload.RequestInfo")
	call, _ := connect.CallInfoForServerContext(ctx)
	addHeaders(info, "request_headers", call.RequestHeader().All())
	if deadline, ok := ctx.Deadline(); ok {
		info.set("timeout_ms", protoreflect.ValueOfInt64(time.Until(deadline).Milliseconds()))
	}
	transport, _ := connecthttp.ServerInfoForContext(ctx)
	if query := transport.HTTPGetQueryParams(); len(query) > 0 {
		addHeaders(info.mutable("connect_get_info"), "query_params", maps.All(query))
	}
	packed, err := anypb.New(request.Interface())
	if err != nil {
		return message{}, fmt.Errorf("pack the request: %w", err)
	}
	entry := info.add("requests")
	entry.set("type_url", protoreflect.ValueOfString(packed.GetTypeUrl()))
	entry.set("value", protoreflect.ValueOfBytes(packed.GetValue()))
	return info, nil
}

func newResponse(method protoreflect.MethodDescriptor, data protoreflect.Value) message {
	response := newMessage(method.Output().FullName())
	response.mutable("payload").set("data", data)
	return response
}

// definedError returns the error defined for a call, or nil. The values in more are
// appended to the definition's details.
func definedError(definition message, more ...protoreflect.Message) error {
	if !definition.has("error") {
		return nil
	}
	definition = definition.message("error")
	result := connect.NewError(
		connect.Code(definition.get("code").Enum()),
		definition.get("message").String(),
	)
	var details []proto.Message
	for packed := range definition.messages("details") {
		details = append(details, &anypb.Any{
			TypeUrl: packed.get("type_url").String(),
			Value:   packed.get("value").Bytes(),
		})
	}
	for _, detail := range more {
		details = append(details, detail.Interface())
	}
	for _, detail := range details {
		encoded, err := connectproto.NewErrorDetail(detail)
		if err != nil {
			return fmt.Errorf("encode an error detail: %w", err)
		}
		result = result.WithDetail(encoded)
	}
	return result
}

// delay waits for the defined time and then returns an error if the call has ended. It
// does not return at the call's deadline: the suite's client has the same deadline and
// reports a response truncated by it as malformed.
func delay(ctx context.Context, definition message) error {
	time.Sleep(time.Duration(definition.get("response_delay_ms").Uint()) * time.Millisecond)
	return ctx.Err()
}

func copyHeader(to *connect.Header, header message) {
	values := header.get("value").List()
	for i := range values.Len() {
		to.Add(header.get("name").String(), values.Get(i).String())
	}
}

func addHeaders(to message, field protoreflect.Name, headers iter.Seq2[string, []string]) {
	for name, values := range headers {
		header := to.add(field)
		header.set("name", protoreflect.ValueOfString(name))
		for _, value := range values {
			header.append("value", protoreflect.ValueOfString(value))
		}
	}
}
