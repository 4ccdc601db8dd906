package auth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// keyedConfigs returns the configurations of servers that require servertest.Key.
func keyedConfigs() map[string]func(testing.TB, string) server.Config {
	return map[string]func(testing.TB, string) server.Config{"client key": e2etest.ClientKeyConfig, "clients file": e2etest.ClientsFileConfig}
}

// listModelsWith lists the models with an API key, and returns the status and body.
func listModelsWith(t *testing.T, front *servertest.Front, key string) (int, string) {
	t.Helper()
	response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer " + key}}}.Do(e2etest.Context(t), t, front)
	return response.StatusCode, body
}

func TestClients_RejectConflictingConfiguration(t *testing.T) {
	t.Parallel()
	file := e2etest.ClientsFile(t, e2etest.ClientEntry(t, "key", "sk-of-one"), e2etest.ClientEntry(t, "another", ""))
	withServerKey := e2etest.OpenClients(t, file)
	for name, config := range map[string]server.Config{
		"with a client key":                      {Clients: withServerKey, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), ClientKey: e2etest.Secret(t, servertest.Key)},
		"with a client key and no upstream key":  {Clients: withServerKey, ClientKey: e2etest.Secret(t, servertest.Key)},
		"with anonymous use":                     {Clients: withServerKey, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), AllowAnonymous: true},
		"without the upstream key that they use": {Clients: withServerKey},
	} {
		if s, err := server.New(config); err == nil {
			s.Close()
			t.Errorf("%s: New succeeded, want an error", name)
		}
	}
}

func TestClients_UseTheirOwnUpstreamKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	front := e2etest.StartServer(t, server.Config{
		Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey),
		Clients: e2etest.OpenClients(t, e2etest.ClientsFile(t, e2etest.ClientEntry(t, "one", "sk-of-one"), e2etest.ClientEntry(t, "two", "sk-of-two"), e2etest.ClientEntry(t, "three", ""))),
	})
	for clientKey, upstreamKey := range map[string]string{"one": "sk-of-one", "two": "sk-of-two", "three": e2etest.UpstreamKey} {
		if status, body := listModelsWith(t, front, clientKey); status != http.StatusOK {
			t.Errorf("%s: got status %d and body %s", clientKey, status, body)
		}
		if got := e2etest.TakeOne(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + upstreamKey}) {
			t.Errorf("%s: got Authorization %q at the upstream", clientKey, got.Header["Authorization"])
		}
		for _, kind := range e2etest.ClientKinds() {
			c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{"Authorization": {"Bearer " + clientKey}}}
			if _, err := kind.Open(t, front).Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion)); err != nil {
				t.Errorf("%s: %v", clientKey, err)
			}
			if got := e2etest.TakeOne(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + upstreamKey}) {
				t.Errorf("%s: got Authorization %q at the upstream", clientKey, got.Header["Authorization"])
			}
		}
	}
	request := e2etest.HTTPRequest{Method: http.MethodTrace, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer one"}}}
	request.Do(e2etest.Context(t), t, front)
	for _, got := range upstream.Take() {
		if text := fmt.Sprint(got.Header); strings.Contains(text, "Bearer") {
			t.Errorf("got TRACE request %s at the upstream", text)
		}
	}
}

// The error names an expired key. A revoked key is like an unknown one.
func TestClients_RejectExpiredAndRevokedKeys(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	file := e2etest.ClientsFile(t, e2etest.ClientEntry(t, "old", "sk-of-one", "expires: 2020-01-01"), e2etest.ClientEntry(t, "gone", "sk-of-two"))
	store := e2etest.OpenClients(t, file)
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), Clients: store})
	if status, body := listModelsWith(t, front, "old"); status != http.StatusUnauthorized || !strings.Contains(body, "has expired") || !strings.Contains(body, `"invalid_api_key"`) {
		t.Errorf("expired key: got status %d and body %s", status, body)
	}
	for _, kind := range e2etest.ClientKinds() {
		c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{"Authorization": {"Bearer old"}}}
		_, err := kind.Open(t, front).Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
		if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodeUnauthenticated || !strings.Contains(failed.Message, "has expired") || failed.Detail.GetCode() != "invalid_api_key" {
			t.Errorf("%s: got error %v, want unauthenticated", kind.Name, failed)
		}
	}
	if status, _ := listModelsWith(t, front, "gone"); status != http.StatusOK {
		t.Errorf("before it is revoked: got status %d", status)
	}
	e2etest.WriteClientsFile(t, file)
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	_, never := listModelsWith(t, front, "never")
	if status, body := listModelsWith(t, front, "gone"); status != http.StatusUnauthorized || body != never || strings.Contains(body, "expired") {
		t.Errorf("after it is revoked: got status %d and body %s", status, body)
	}
	if _, body := listModelsWith(t, front, "old"); body != never {
		t.Errorf("after the expired key is revoked: got body %s", body)
	}
}

// While the file changes, and is invalid in between, every request is served with
// the upstream key of one version or the next.
func TestClients_ReloadWithoutFailedRequests(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		servertest.JSON(http.StatusOK, fmt.Sprintf("%q", r.Header.Get("Authorization")))(w, r)
	})
	versions := []string{e2etest.ClientEntry(t, "key", "sk-of-one"), e2etest.ClientEntry(t, "key", "sk-of-two"), "  - broken\n"}
	file := e2etest.ClientsFile(t, versions[0])
	store := e2etest.OpenClients(t, file)
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), Clients: store})
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				if status, body := listModelsWith(t, front, "key"); status != http.StatusOK || body != `"Bearer sk-of-one"` && body != `"Bearer sk-of-two"` {
					t.Errorf("got status %d and body %s during a reload", status, body)
				}
				if status, _ := listModelsWith(t, front, "other"); status != http.StatusUnauthorized {
					t.Errorf("got status %d for an unknown key", status)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 90 {
		e2etest.WriteClientsFile(t, file, versions[i%len(versions)])
		if err := store.Reload(); (err != nil) != (i%len(versions) == 2) {
			t.Errorf("write version %d: %v", i, err)
		}
	}
	close(done)
	running.Wait()
}
