package lifecycle_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestHealth_Check(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	client := grpc_health_v1.NewHealthClient(front.GRPC(t))
	for name, service := range map[string]string{
		"server":  "",
		"service": "openaiconnect.chat.v1.ChatService",
	} {
		t.Run(name, func(t *testing.T) {
			response, err := client.Check(e2etest.Context(t), &grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil || response.GetStatus() != e2etest.Serving {
				t.Errorf("got response %v and error %v", response, err)
			}
		})
	}
	t.Run("unknown service", func(t *testing.T) {
		_, err := client.Check(e2etest.Context(t), &grpc_health_v1.HealthCheckRequest{Service: "openaiconnect.chat.v1.Nope"})
		if got := status.Convert(err); got.Code() != codes.NotFound || !strings.Contains(got.Message(), `"openaiconnect.chat.v1.Nope"`) {
			t.Errorf("got error %v, want not_found", err)
		}
	})
	t.Run("curl", func(t *testing.T) {
		var body []byte
		code, _, err := e2etest.Curl(e2etest.Context(t), t, []byte(`{}`), func(r io.Reader) (err error) {
			body, err = io.ReadAll(r)
			return err
		}, front.URL+"/grpc.health.v1.Health/Check", "-H", "content-type: application/json")
		if err != nil || code != http.StatusOK || string(body) != `{"status":"SERVING"}` {
			t.Errorf("got error %v, status %d, and body %s", err, code, body)
		}
	})
}

// The shutdown ends watches of each kind. They don't delay it.
func TestHealth_WatchUntilShutdown(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	client := grpc_health_v1.NewHealthClient(front.GRPC(t))
	watches := map[string][]grpc_health_v1.HealthCheckResponse_ServingStatus{
		"":                                  {e2etest.Serving, e2etest.NotServing},
		"openaiconnect.chat.v1.ChatService": {e2etest.Serving, e2etest.NotServing},
		"openaiconnect.chat.v1.Nope":        {e2etest.ServiceUnknown},
	}
	streams := make(map[string]grpc_health_v1.Health_WatchClient)
	for service, statuses := range watches {
		stream, err := client.Watch(e2etest.Context(t), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		streams[service] = stream
		expect(t, stream, statuses[0])
	}
	front.Stop()
	for service, statuses := range watches {
		for _, want := range statuses[1:] {
			expect(t, streams[service], want)
		}
		if response, err := streams[service].Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("watch of %q: got response %v and error %v", service, response, err)
		}
	}
}

func expect(t *testing.T, stream grpc_health_v1.Health_WatchClient, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	response, err := stream.Recv()
	if err != nil || response.GetStatus() != want {
		t.Fatalf("got response %v and error %v, want %v", response, err, want)
	}
}
