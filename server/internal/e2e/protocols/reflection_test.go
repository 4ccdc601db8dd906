package protocols_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Both versions of the reflection protocol describe the service.
func TestReflection_DescribesService(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	for _, version := range []string{"v1", "v1alpha"} {
		t.Run(version, func(t *testing.T) {
			ask := e2etest.OpenReflection(t, front, version)
			listed := ask(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
			}).GetListServicesResponse()
			var names []string
			for _, service := range listed.GetService() {
				names = append(names, service.GetName())
			}
			slices.Sort(names)
			if !slices.Equal(names, e2etest.ReflectedServices) {
				t.Errorf("got services %q, want %q", names, e2etest.ReflectedServices)
			}
			files := new(descriptorpb.FileDescriptorSet)
			for _, encoded := range ask(&reflectionv1.ServerReflectionRequest{
				MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
					FileContainingSymbol: "openaiconnect.chat.v1.ChatService",
				},
			}).GetFileDescriptorResponse().GetFileDescriptorProto() {
				file := new(descriptorpb.FileDescriptorProto)
				if err := proto.Unmarshal(encoded, file); err != nil {
					t.Fatal(err)
				}
				files.File = append(files.File, file)
			}
			registry, err := protodesc.NewFiles(files)
			if err != nil {
				t.Fatalf("files are not self-contained: %v", err)
			}
			if _, err := registry.FindDescriptorByName("openaiconnect.chat.v1.ChatService.StreamChatCompletion"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReflection_GRPCurl(t *testing.T) {
	t.Parallel()
	path := servertest.Tool(t, "grpcurl", "`make tools` builds it")
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	grpcurl := func(t *testing.T, arguments ...string) string {
		t.Helper()
		output, err := run(e2etest.Context(t), path, append([]string{"-plaintext"}, arguments...)...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	const (
		service = "openaiconnect.chat.v1.ChatService"
		hello   = `{"model": "sandbox", "messages": [{"role": "ROLE_USER", "content": "Hello!"}]}`
	)
	t.Run("lists the services", func(t *testing.T) {
		if got := strings.Fields(grpcurl(t, front.Address, "list")); !slices.Equal(got, e2etest.ReflectedServices) {
			t.Errorf("got services %q", got)
		}
	})
	t.Run("lists the RPCs", func(t *testing.T) {
		if got := strings.Fields(grpcurl(t, front.Address, "list", service)); len(got) != 7 || !slices.Contains(got, service+".StreamChatCompletion") {
			t.Errorf("got methods %q", got)
		}
	})
	t.Run("describes all services", func(t *testing.T) {
		got := grpcurl(t, front.Address, "describe")
		for _, name := range e2etest.ReflectedServices {
			if !strings.Contains(got, name+" is a service:") {
				t.Errorf("got no description of %s:\n%s", name, got)
			}
		}
	})
	t.Run("describes a message", func(t *testing.T) {
		if got := grpcurl(t, front.Address, "describe", "openaiconnect.chat.v1.Message"); !strings.Contains(got, "repeated .openaiconnect.chat.v1.ToolCall tool_calls = 6") {
			t.Errorf("got description %s", got)
		}
	})
	t.Run("makes a unary call", func(t *testing.T) {
		var completion struct {
			Choices []struct {
				Message struct{ Role, Content string }
			}
		}
		output := grpcurl(t, "-d", hello, front.Address, service+"/CreateChatCompletion")
		if err := json.Unmarshal([]byte(output), &completion); err != nil {
			t.Fatalf("decode %[2]s: %[1]v", err, output)
		}
		if message := completion.Choices[0].Message; message.Role != "ROLE_ASSISTANT" || message.Content == "" {
			t.Errorf("got response %s", output)
		}
	})
	t.Run("reads a stream", func(t *testing.T) {
		output := grpcurl(t, "-d", hello, front.Address, service+"/StreamChatCompletion")
		chunks := json.NewDecoder(strings.NewReader(output))
		last := ""
		for {
			var chunk struct {
				Choices []struct{ FinishReason string }
			}
			if err := chunks.Decode(&chunk); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("decode %[2]s: %[1]v", err, output)
			}
			last = chunk.Choices[0].FinishReason
		}
		if last != "FINISH_REASON_STOP" {
			t.Errorf("got no finish_reason in the last chunk:\n%s", output)
		}
	})
	t.Run("decodes the details of an error", func(t *testing.T) {
		_, err := run(e2etest.Context(t), path, "-plaintext", "-H", "x-sandbox-status: 429",
			"-d", hello, front.Address, service+"/CreateChatCompletion")
		if err == nil {
			t.Fatal("call succeeded, want an error")
		}
		for _, want := range []string{
			"Code: ResourceExhausted", `"@type": "type.googleapis.com/openaiconnect.rest.v1.Error"`, `"httpStatus": 429`,
			`"@type": "type.googleapis.com/google.rpc.RetryInfo"`, `"retryDelay": "1s"`,
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want it to contain %s", err, want)
			}
		}
	})
}

// run returns the output of a program. The error contains standard error.
func run(ctx context.Context, path string, arguments ...string) (string, error) {
	var output, stderr bytes.Buffer
	command := exec.CommandContext(ctx, path, arguments...)
	command.Stdout, command.Stderr = &output, &stderr
	if err := command.Run(); err != nil {
		return "", errors.Join(err, errors.New(stderr.String()))
	}
	return output.String(), nil
}
