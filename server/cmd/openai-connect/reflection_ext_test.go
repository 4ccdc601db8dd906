package main_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// TestReflection_ListsAllServices asks the command and not a server in the
// test, as tests link descriptors that the command doesn't.
func TestReflection_ListsAllServices(t *testing.T) {
	t.Parallel()
	path := servertest.Tool(t, "grpcurl", "`make tools` builds it")
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0")
	grpcurl := func(arguments ...string) string {
		output, err := exec.CommandContext(t.Context(), path, append([]string{"-plaintext"}, arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		return string(output)
	}
	described := grpcurl(p.address, "describe")
	services := strings.Fields(grpcurl(p.address, "list"))
	if len(services) != 4 {
		t.Errorf("got services %q", services)
	}
	for _, name := range services {
		if !strings.Contains(described, name+" is a service:") {
			t.Errorf("%s isn't described in\n%s", name, described)
		}
	}
	if health := grpcurl("-d", `{"service": "openaiconnect.chat.v1.ChatService"}`, p.address, "grpc.health.v1.Health/Check"); !strings.Contains(health, `"SERVING"`) {
		t.Errorf("got health %s", health)
	}
}
