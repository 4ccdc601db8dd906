package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The first upstream requires no key, such as vLLM, and the second has one, such as
// OpenAI. Neither receives the credentials of clients.
func TestMixedFailover_WorksForEveryKindOfClient(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*server.Config){
		"client key": func(c *server.Config) { c.ClientKey = e2etest.Secret(t, servertest.Key) },
		"clients": func(c *server.Config) {
			c.Clients = e2etest.OpenClients(t, e2etest.ClientsFile(t, e2etest.ClientEntry(t, servertest.Key, "")))
		},
		"anonymous": func(c *server.Config) { c.AllowAnonymous = true },
	} {
		t.Run(name, func(t *testing.T) {
			first := servertest.StartUpstream(t, servertest.JSON(http.StatusServiceUnavailable, `{}`))
			second := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
			config := server.Config{Failover: mixed(t, first.URL, second.URL)}
			set(&config)
			front := e2etest.StartServer(t, config)
			header := http.Header{"Authorization": {"Bearer " + servertest.Key}, "Api-Key": {servertest.Key}, "Openai-Organization": {"org-of-the-client"}}
			response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: header}.Do(e2etest.Context(t), t, front)
			if response.StatusCode != http.StatusOK {
				t.Fatalf("got status %d: %s", response.StatusCode, body)
			}
			for upstream, want := range map[*servertest.Upstream]string{first: "", second: "Bearer sk-second"} {
				requests := upstream.Take()
				if len(requests) != 1 {
					t.Fatalf("got %d requests", len(requests))
				}
				if got := requests[0].Header.Get("Authorization"); got != want {
					t.Errorf("got authorization %q, want %q", got, want)
				}
				if text := fmt.Sprint(requests[0]); strings.Contains(text, servertest.Key) || strings.Contains(text, "org-of-the-client") {
					t.Errorf("the upstream received credentials of the client: %s", text)
				}
			}
		})
	}
}

func TestMixedFailover_RequiresClientAuthentication(t *testing.T) {
	t.Parallel()
	_, err := server.New(server.Config{Failover: mixed(t, "http://127.0.0.1:1", "http://127.0.0.1:2")})
	invalid, ok := errors.AsType[*server.ConfigError](err)
	if !ok || invalid.Field != "Failover" || !errors.Is(err, auth.ErrClientAuthRequired) {
		t.Errorf("got error %v", err)
	}
}

func mixed(t *testing.T, first, second string) *failover.Config {
	t.Helper()
	return &failover.Config{Upstreams: []failover.Upstream{
		{Name: "vllm", BaseURL: first, NoKey: true},
		{Name: "openai", BaseURL: second, Key: e2etest.Secret(t, "sk-second")},
	}}
}
