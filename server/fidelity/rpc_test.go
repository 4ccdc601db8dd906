package fidelity_test

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// rpc is an RPC and the REST operation of the specification that it maps to.
type rpc struct {
	name      protoreflect.Name
	input     protoreflect.MessageDescriptor
	output    protoreflect.MessageDescriptor
	option    *restv1.Operation
	operation openapi.Operation
	// answer is the schema of a response, or of the data of an event.
	answer *openapi.Schema
}

// failures is the message for a response with an error.
var failures = (*restv1.ErrorResponse)(nil).ProtoReflect().Descriptor()

// matchRPCs matches the operations of the specification with RPCs by their options.
// Operations or RPCs without a match are problems.
func matchRPCs(d *openapi.Document) (rpcs []rpc, problems []string) {
	methods := chatv1.File_openaiconnect_chat_v1_chat_service_proto.Services().ByName("ChatService").Methods()
	matched := make(map[protoreflect.Name]bool)
	for _, operation := range d.Operations {
		for _, response := range operation.Responses {
			if response.Status != "200" {
				continue
			}
			found := false
			for i := range methods.Len() {
				method := methods.Get(i)
				option := extension[*restv1.Operation](method, restv1.E_Operation)
				if mapsTo(method, option, operation, response.MediaType) {
					found, matched[method.Name()] = true, true
					rpcs = append(rpcs, rpc{method.Name(), method.Input(), method.Output(), option, operation, response.Schema})
				}
			}
			if !found {
				problems = append(problems, fmt.Sprintf("%s %s: no RPC responds with %s", operation.Method, operation.Path, response.MediaType))
			}
		}
	}
	for i := range methods.Len() {
		if name := methods.Get(i).Name(); !matched[name] {
			problems = append(problems, fmt.Sprintf("%s: the specification has no such operation", name))
		}
	}
	return rpcs, problems
}

// mapsTo reports whether a method maps to an operation with this response type.
func mapsTo(method protoreflect.MethodDescriptor, option *restv1.Operation, operation openapi.Operation, mediaType string) bool {
	verb, path := "GET", option.GetGet()
	switch option.GetPattern().(type) {
	case *restv1.Operation_Post:
		verb, path = "POST", option.GetPost()
	case *restv1.Operation_Delete:
		verb, path = "DELETE", option.GetDelete()
	}
	want := "application/json"
	if method.IsStreamingServer() && option.GetEventStream() != nil {
		want = "text/event-stream"
	}
	return verb == operation.Method && path == operation.Path && want == mediaType
}

// decides reports whether the RPC sets a field of its body.
func (r rpc) decides(name string) bool {
	return slices.ContainsFunc(r.option.GetFixed(), func(c *restv1.Constant) bool { return c.GetName() == name })
}
