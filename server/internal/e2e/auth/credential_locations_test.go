package auth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/secret"
)

// keyReplacingConfigs returns the configurations of servers that replace the API
// key of clients, servertest.Key.
func keyReplacingConfigs() map[string]func(*testing.T, string) server.Config {
	return map[string]func(*testing.T, string) server.Config{
		"upstream key": func(t *testing.T, upstream string) server.Config {
			t.Helper()
			return e2etest.ClientKeyConfig(t, upstream)
		},
		"clients file": func(t *testing.T, upstream string) server.Config {
			t.Helper()
			return e2etest.ClientsFileConfig(t, upstream)
		},
		"several upstreams": func(t *testing.T, upstream string) server.Config {
			t.Helper()
			config := e2etest.ClientKeyConfig(t, upstream)
			config.Upstream, config.UpstreamKey = "", secret.Secret{}
			config.Failover = &failover.Config{Upstreams: []failover.Upstream{
				{Name: "first", BaseURL: upstream, Key: e2etest.Secret(t, e2etest.UpstreamKey)},
				{Name: "second", BaseURL: upstream, Key: e2etest.Secret(t, "sk-of-the-second")},
			}}
			return config
		},
	}
}

// Requests as the clients of Anthropic, Azure, and OpenAI send them.
func TestAuth_AcceptsKeyInEveryClientsHeader(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	for name, config := range keyReplacingConfigs() {
		front := e2etest.StartServer(t, config(t, upstream.URL))
		for place, row := range map[string]struct {
			path   string
			header http.Header
		}{
			"Anthropic's SDK":       {"/v1/messages", http.Header{"X-Api-Key": {servertest.Key}, "Anthropic-Version": {"2023-06-01"}}},
			"Claude Code":           {"/v1/messages?beta=true", http.Header{"X-Api-Key": {"sk-ant-other"}, "Authorization": {"Bearer " + servertest.Key}}},
			"Azure's SDK":           {"/openai/deployments/m/chat/completions?api-version=2024-10-21", http.Header{"Api-Key": {servertest.Key}}},
			"OpenAI's SDK":          {"/v1/chat/completions", http.Header{"Authorization": {"Bearer " + servertest.Key}}},
			"three keys, one valid": {"/v1/chat/completions", http.Header{"Authorization": {"Bearer another"}, "X-Api-Key": {servertest.Key}, "Api-Key": {"third"}}},
		} {
			response, body := e2etest.HTTPRequest{Method: http.MethodPost, Path: row.path, Header: row.header, Body: `{"model":"m"}`}.Do(e2etest.Context(t), t, front)
			if response.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: got status %s and body %s", name, place, response.Status, body)
			}
			got := e2etest.TakeOne(t, upstream)
			if want := []string{"Bearer " + e2etest.UpstreamKey}; !slices.Equal(got.Header["Authorization"], want) || got.Target != row.path {
				t.Errorf("%s, %s: got target %s and Authorization %q at the upstream", name, place, got.Target, got.Header["Authorization"])
			}
			if got.Header["Api-Key"] != nil || got.Header["X-Api-Key"] != nil {
				t.Errorf("%s, %s: got the client's key at the upstream: %v", name, place, got.Header)
			}
		}
	}
}

func TestAuth_RemovesOrganizationOfClient(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	account := http.Header{"Openai-Organization": {"org-of-client"}, "Openai-Project": {"proj-of-client"}}
	for name, config := range keyReplacingConfigs() {
		for _, forward := range []bool{false, true} {
			set := config(t, upstream.URL)
			set.ForwardOrganization = forward
			front := e2etest.StartServer(t, set)
			check := func(method string) {
				t.Helper()
				received := upstream.Take()
				if len(received) == 0 {
					t.Errorf("%s, %s: got no request at the upstream", name, method)
				}
				for _, got := range received {
					for field, values := range account {
						if sent := got.Header[field]; forward && !slices.Equal(sent, values) || !forward && sent != nil {
							t.Errorf("%s, %s, forwarded %t: got %s %q at the upstream", name, method, forward, field, sent)
						}
					}
					if protocols := strings.Join(got.Header["Sec-Websocket-Protocol"], ","); !forward && strings.Contains(protocols, "-of-client") {
						t.Errorf("%s, %s: got subprotocols %q at the upstream", name, method, protocols)
					}
				}
			}
			for _, http2 := range []bool{false, true} {
				header := account.Clone()
				header.Set("Authorization", "Bearer "+servertest.Key)
				e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: header, HTTP2: http2}.Do(e2etest.Context(t), t, front)
				check("raw")
			}
			for _, kind := range e2etest.ClientKinds() {
				c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: account}
				if _, err := kind.Open(t, front).Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion)); err != nil {
					t.Errorf("%s, %s: %v", name, kind.Name, err)
				}
				check(kind.Name)
			}
			header := account.Clone()
			header.Set("Authorization", "Bearer "+servertest.Key)
			conn, response, err := websocket.Dial(e2etest.Context(t), front.URL+"/v1/realtime?model=m", &websocket.DialOptions{
				HTTPClient: servertest.HTTPClient(t, false), HTTPHeader: header,
				Subprotocols: []string{"realtime", "openai-organization.org-of-client", "openai-project.proj-of-client"},
			})
			if err == nil {
				_ = conn.CloseNow()
				t.Errorf("%s: got status %s", name, response.Status)
			}
			check("WebSocket")
		}
	}
}
