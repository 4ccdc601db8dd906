package e2etest

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// ReflectedServices are the services that the server lists.
var ReflectedServices = []string{
	"grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection",
	"grpc.reflection.v1alpha.ServerReflection",
	"openaiconnect.chat.v1.ChatService",
}

// OpenReflection opens a reflection stream and returns a function that sends a
// request on it and returns the response.
func OpenReflection(
	t *testing.T, front *servertest.Front, version string,
) func(*reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Timeout)
	stream, err := front.GRPC(t).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		if err := stream.RecvMsg(new(reflectionv1.ServerReflectionResponse)); !errors.Is(err, io.EOF) {
			t.Errorf("got end of stream %v, want EOF", err)
		}
	})
	return func(request *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
		t.Helper()
		response := new(reflectionv1.ServerReflectionResponse)
		if err := errors.Join(stream.SendMsg(request), stream.RecvMsg(response)); err != nil {
			t.Fatal(err)
		}
		return response
	}
}
