package request_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/health"
	"github.com/openai-connect/openai-connect/server/request"
)

const (
	known   = chatv1connect.ChatServiceCreateChatCompletionProcedure
	unknown = "/" + chatv1connect.ChatServiceName + "/Unknown"
)

func newClassifier() *request.Classifier {
	rpcs := connect.NewServer()
	chatv1connect.RegisterChatServiceHandler(rpcs, chatv1connect.UnimplementedChatServiceHandler{})
	health.Register(rpcs)
	return request.NewClassifier(rpcs, "/playground/")
}

func TestRequest_HasOneKindAndProtocol(t *testing.T) {
	classifier := newClassifier()
	for _, test := range []struct {
		name                       string
		method, target             string
		contentType, version       string
		kind                       request.Kind
		protocol                   request.Protocol
		isRPC, isPublic, procedure bool
	}{
		{"JSON to a REST path", "POST", "/v1/chat/completions", "application/json", "", request.KindRaw, request.Raw, false, false, false},
		{"no content", "GET", "/v1/models", "", "", request.KindRaw, request.Raw, false, false, false},
		{"a query that mentions Connect", "GET", "/v1/models?after=connect", "", "", request.KindRaw, request.Raw, false, false, false},
		{"a Connect version that doesn't exist", "POST", "/other", "application/json", "2", request.KindRaw, request.Raw, false, false, false},
		{"CONNECT without a path", "CONNECT", "", "", "", request.KindRaw, request.Raw, false, false, false},

		{"Connect, JSON", "POST", known, "application/json", "", request.KindRPC, request.Connect, true, false, true},
		{"Connect, a content type that it doesn't have", "POST", known, "text/plain", "", request.KindRPC, request.Connect, true, false, true},
		{"Connect, stream", "POST", known, "application/connect+proto", "", request.KindRPC, request.Connect, true, false, true},
		{"Connect, GET", "GET", known + "?connect=v1&encoding=json&message=%7B%7D", "", "", request.KindRPC, request.Connect, true, false, true},
		{"gRPC", "POST", known, "application/grpc", "", request.KindRPC, request.GRPC, true, false, true},
		{"gRPC-Web", "POST", known, "application/grpc-web+proto", "", request.KindRPC, request.GRPCWeb, true, false, true},
		{"gRPC-Web, text", "POST", known, "application/grpc-web-text", "", request.KindRPC, request.GRPCWeb, true, false, true},

		{"unknown RPC, Connect, JSON", "POST", unknown, "application/json", "", request.KindRPC, request.Connect, true, false, false},
		{"unknown RPC, gRPC", "POST", unknown, "application/grpc", "", request.KindRPC, request.GRPC, true, false, false},

		{"unknown service, JSON", "POST", "/foo.v1.Bar/Baz", "application/json", "", request.KindRaw, request.Raw, false, false, false},
		{"unknown service, Connect with its version", "POST", "/foo.v1.Bar/Baz", "application/json", "1", request.KindRPC, request.Connect, true, false, false},
		{"unknown service, Connect stream", "POST", "/foo.v1.Bar/Baz", "application/connect+proto", "", request.KindRPC, request.Connect, true, false, false},
		{"unknown service, Connect GET", "GET", "/foo.v1.Bar/Baz?connect=v1&encoding=json&message=%7B%7D", "", "", request.KindRPC, request.Connect, true, false, false},
		{"unknown service, gRPC", "POST", "/foo.v1.Bar/Baz", "application/grpc+proto", "", request.KindRPC, request.GRPC, true, false, false},
		{"unknown service, gRPC-Web", "POST", "/foo.v1.Bar/Baz", "application/grpc-web", "", request.KindRPC, request.GRPCWeb, true, false, false},

		{"health check", "POST", "/grpc.health.v1.Health/Check", "application/grpc", "", request.KindHealth, request.GRPC, true, true, true},
		{"unknown RPC of the health service", "POST", "/grpc.health.v1.Health/Unknown", "application/grpc", "", request.KindHealth, request.GRPC, true, true, false},
		{"reflection that isn't registered", "POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/grpc", "", request.KindRPC, request.GRPC, true, false, false},

		{"playground", "GET", "/playground/", "", "", request.KindPlayground, request.Raw, false, true, false},
		{"playground without its slash", "GET", "/playground", "", "", request.KindPlayground, request.Raw, false, true, false},
		{"a file of the playground", "GET", "/playground/main.js", "", "", request.KindPlayground, request.Raw, false, true, false},
		{"a path that begins like the playground's", "GET", "/playgrounds", "", "", request.KindRaw, request.Raw, false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/", nil)
			if test.target != "" {
				r = httptest.NewRequest(test.method, test.target, nil)
			} else {
				r.URL.Path = ""
			}
			r.Header.Set("Content-Type", test.contentType)
			if test.version != "" {
				r.Header.Set("Connect-Protocol-Version", test.version)
			}
			var got *request.Record
			classifier.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = request.FromContext(r.Context())
			})).ServeHTTP(httptest.NewRecorder(), r)
			if got.Kind != test.kind || got.Protocol != test.protocol {
				t.Errorf("kind %d, protocol %s; want kind %d, protocol %s", got.Kind, got.Protocol, test.kind, test.protocol)
			}
			if got.Kind.IsRPC() != test.isRPC || got.Kind.IsPublic() != test.isPublic {
				t.Errorf("IsRPC %t, IsPublic %t; want %t, %t", got.Kind.IsRPC(), got.Kind.IsPublic(), test.isRPC, test.isPublic)
			}
			if (got.Procedure != "") != test.procedure {
				t.Errorf("procedure %q", got.Procedure)
			}
		})
	}
}

func TestRequest_FromContextIsNeverNil(t *testing.T) {
	record := request.FromContext(context.Background())
	if record == nil || record.ClientName() != "" || record.Kind != request.KindRaw || record.Protocol != request.Raw {
		t.Errorf("%+v", record)
	}
	record = new(request.Record)
	if request.FromContext(request.NewContext(context.Background(), record)) != record {
		t.Error("the context lost its record")
	}
}

func TestRequest_RunsOnEndBeforeOnComplete(t *testing.T) {
	var order string
	add := func(s string) func() { return func() { order += s } }
	record := new(request.Record)
	record.OnComplete(add("c"))
	record.OnEnd(add("a"))
	record.OnEnd(add("b"))
	record.End()
	record.End()
	record.OnEnd(add("d"))
	if order != "abcd" {
		t.Errorf("the functions ran in the order %q, want abcd", order)
	}
}
