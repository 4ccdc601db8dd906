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

// tokenAskers are the configurations of servers that want servertest.Key for a token.
func tokenAskers() map[string]func(testing.TB, string) server.Config {
	return map[string]func(testing.TB, string) server.Config{"with a token": e2etest.ClientKeyConfig, "with keys": e2etest.ClientsFileConfig}
}

// askAs asks for the models, and returns the answer's status and body.
func askAs(t *testing.T, front *servertest.Front, token string) (int, string) {
	t.Helper()
	response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer " + token}}}.Do(e2etest.Context(t), t, front)
	return response.StatusCode, body
}

func TestKeysStandAlone(t *testing.T) {
	t.Parallel()
	file := e2etest.ClientsFile(t, e2etest.ClientEntry(t, "token", "sk-of-one"))
	withServerKey := e2etest.OpenClients(t, file)
	for name, config := range map[string]server.Config{
		"beside a client's token":       {Clients: withServerKey, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), ClientKey: e2etest.Secret(t, servertest.Key)},
		"beside a token without a key":  {Clients: withServerKey, ClientKey: e2etest.Secret(t, servertest.Key)},
		"beside everyone":               {Clients: withServerKey, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), AllowAnonymous: true},
		"without the key they rely on ": {Clients: withServerKey},
	} {
		if s, err := server.New(config); err == nil {
			s.Close()
			t.Errorf("%s they are taken", name)
		}
	}
}

func TestEachTokenGoesUpAsItsOwnKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	front := e2etest.StartServer(t, server.Config{
		Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey),
		Clients: e2etest.OpenClients(t, e2etest.ClientsFile(t, e2etest.ClientEntry(t, "one", "sk-of-one"), e2etest.ClientEntry(t, "two", "sk-of-two"), e2etest.ClientEntry(t, "three", ""))),
	})
	for token, key := range map[string]string{"one": "sk-of-one", "two": "sk-of-two", "three": e2etest.UpstreamKey} {
		if status, body := askAs(t, front, token); status != http.StatusOK {
			t.Errorf("%s: %d %s", token, status, body)
		}
		if got := e2etest.TakeOne(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + key}) {
			t.Errorf("%s goes up as %q", token, got.Header["Authorization"])
		}
		for _, kind := range e2etest.ClientKinds() {
			c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{"Authorization": {"Bearer " + token}}}
			if _, err := kind.Open(t, front).Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion)); err != nil {
				t.Errorf("%s: %v", token, err)
			}
			if got := e2etest.TakeOne(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + key}) {
				t.Errorf("%s goes up as %q", token, got.Header["Authorization"])
			}
		}
	}
	request := e2etest.HTTPRequest{Method: http.MethodTrace, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer one"}}}
	request.Do(e2etest.Context(t), t, front)
	for _, got := range upstream.Take() {
		if text := fmt.Sprint(got.Header); strings.Contains(text, "Bearer") {
			t.Errorf("by TRACE goes up %s", text)
		}
	}
}

// Whoever shows an expired token is told so. A revoked one is as any other.
func TestATokenThatWasOne(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	file := e2etest.ClientsFile(t, e2etest.ClientEntry(t, "old", "sk-of-one", "expires: 2020-01-01"), e2etest.ClientEntry(t, "gone", "sk-of-two"))
	store := e2etest.OpenClients(t, file)
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), Clients: store})
	if status, body := askAs(t, front, "old"); status != http.StatusUnauthorized || !strings.Contains(body, "has expired") || !strings.Contains(body, `"invalid_api_key"`) {
		t.Errorf("once it expired: %d %s", status, body)
	}
	for _, kind := range e2etest.ClientKinds() {
		c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{"Authorization": {"Bearer old"}}}
		_, err := kind.Open(t, front).Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
		if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodeUnauthenticated || !strings.Contains(failed.Message, "has expired") || failed.Detail.GetCode() != "invalid_api_key" {
			t.Errorf("%s: %v", kind.Name, failed)
		}
	}
	if status, _ := askAs(t, front, "gone"); status != http.StatusOK {
		t.Errorf("before it is revoked: %d", status)
	}
	e2etest.WriteClientsFile(t, file)
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	_, never := askAs(t, front, "never")
	if status, body := askAs(t, front, "gone"); status != http.StatusUnauthorized || body != never || strings.Contains(body, "expired") {
		t.Errorf("once it is revoked: %d %s", status, body)
	}
	if _, body := askAs(t, front, "old"); body != never {
		t.Errorf("once the expired one is revoked too: %s", body)
	}
}

// While the file changes, and is broken at times, every request is let in, by the
// key of one version or the next.
func TestNoRequestFailsWhileKeysAreReloaded(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		servertest.JSON(http.StatusOK, fmt.Sprintf("%q", r.Header.Get("Authorization")))(w, r)
	})
	versions := []string{e2etest.ClientEntry(t, "token", "sk-of-one"), e2etest.ClientEntry(t, "token", "sk-of-two"), "  - broken\n"}
	file := e2etest.ClientsFile(t, versions[0])
	store := e2etest.OpenClients(t, file)
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), Clients: store})
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				if status, body := askAs(t, front, "token"); status != http.StatusOK || body != `"Bearer sk-of-one"` && body != `"Bearer sk-of-two"` {
					t.Errorf("a request got %d %s", status, body)
				}
				if status, _ := askAs(t, front, "other"); status != http.StatusUnauthorized {
					t.Errorf("a stranger got %d", status)
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
			t.Errorf("version %d: %v", i, err)
		}
	}
	close(done)
	running.Wait()
}
