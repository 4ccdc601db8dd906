package upstream_test

import (
	"net/http"
	"testing"
	"time"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// If an upstream is unreachable or overloaded, the next one is tried, with its own
// key. A header names the upstream.
func TestFailover_UsesNextUpstream(t *testing.T) {
	t.Parallel()
	full := servertest.StartUpstream(t, servertest.JSON(http.StatusTooManyRequests, `{"error": {"message": "full", "type": "requests"}}`))
	for _, kind := range e2etest.ClientKinds() {
		well := servertest.StartUpstream(t, e2etest.ServeUsage)
		config := e2etest.ClientKeyConfig(t, "")
		config.Failover = &failover.Config{
			Upstreams: []failover.Upstream{
				{Name: "unreachable", BaseURL: "http://127.0.0.1:1"},
				{Name: "full", BaseURL: full.URL, Key: e2etest.Secret(t, "sk-full")},
				{Name: "well", BaseURL: well.URL, Key: e2etest.Secret(t, "sk-well")},
			},
			Cooldown: time.Minute,
		}
		client := kind.Open(t, e2etest.StartServer(t, config))
		for _, attempts := range []string{"3", "1"} { // After the first call, the others are in cooldown.
			header, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello()}, new(chatv1.ChatCompletion))
			if err != nil {
				t.Fatalf("%s: %v", client.Name, err)
			}
			if got := header.Get(failover.UpstreamHeader); got != "well" {
				t.Errorf("%s: got upstream %q", client.Name, got)
			}
			if got := header.Get(failover.AttemptsHeader); got != attempts {
				t.Errorf("%s: got %s attempts, want %s", client.Name, got, attempts)
			}
		}
		for _, received := range well.Take() {
			if got := received.Header.Get("Authorization"); got != "Bearer sk-well" {
				t.Errorf("%s: got another upstream's key", client.Name)
			}
		}
		for _, received := range full.Take() {
			if got := received.Header.Get("Authorization"); got != "Bearer sk-full" {
				t.Errorf("%s: got another upstream's key", client.Name)
			}
		}
	}
}

// An upstream with a key requires client authentication. Otherwise everyone who
// reaches the server could use the key.
func TestFailover_UpstreamKeyRequiresAuthentication(t *testing.T) {
	t.Parallel()
	_, err := server.New(server.Config{Failover: &failover.Config{Upstreams: []failover.Upstream{
		{Name: "one", BaseURL: "http://127.0.0.1:1"},
		{Name: "two", BaseURL: "http://127.0.0.1:1", Key: e2etest.Secret(t, "sk-two")},
	}}})
	if err == nil {
		t.Error("New succeeded, want an error")
	}
}
