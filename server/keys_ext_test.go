package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// tokenAskers are the configurations of servers that want servertest.Key for a token.
func tokenAskers() map[string]func(testing.TB, string) server.Config {
	return map[string]func(testing.TB, string) server.Config{"with a token": guarded, "with keys": keyed}
}

// keyed is the configuration of a server of many tokens, of which servertest.Key is
// one, and heldKey is that one's own key.
func keyed(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{
		Upstream: upstream, UpstreamKey: secret(tb, "sk-of-the-server"),
		Keys: openKeys(tb, keysFile(tb, keyEntry(tb, servertest.Key, heldKey), keyEntry(tb, "another-token", "sk-of-another"))),
	}
}

// keyEntry is the text of a client whose token and key these are, and its further
// fields. Without a key it has the server's.
func keyEntry(tb testing.TB, token, key string, fields ...string) string {
	tb.Helper()
	hash := clients.HashOf(token).String()
	fields = append([]string{"  - name: client-" + hash[7:15], "hash: " + hash}, fields...)
	if key != "" {
		path := filepath.Join(tb.TempDir(), "key")
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			tb.Fatal(err)
		}
		fields = append(fields, "upstream_key: {file: "+path+"}")
	}
	return strings.Join(fields, "\n    ") + "\n"
}

func keysFile(tb testing.TB, entries ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "clients.yaml")
	writeKeys(tb, path, entries...)
	return path
}

// writeKeys replaces a file, as who has clients do should.
func writeKeys(tb testing.TB, path string, entries ...string) {
	tb.Helper()
	text := "tokens:\n" + strings.Join(entries, "")
	if len(entries) == 0 {
		text = "tokens: []\n"
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func openKeys(tb testing.TB, path string) *clients.Store {
	tb.Helper()
	store, err := clients.Open(path, clients.Options{ServerHoldsKey: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return store
}

// askAs asks for the models, and returns the answer's status and body.
func askAs(t *testing.T, front *servertest.Front, token string) (int, string) {
	t.Helper()
	response, body := exchange{method: http.MethodGet, path: "/v1/models", header: http.Header{"Authorization": {"Bearer " + token}}}.run(within(t), t, front)
	return response.StatusCode, body
}

func TestKeysStandAlone(t *testing.T) {
	t.Parallel()
	file := keysFile(t, keyEntry(t, "token", "sk-of-one"))
	withServerKey := openKeys(t, file)
	for name, config := range map[string]server.Config{
		"beside a client's token":       {Keys: withServerKey, UpstreamKey: secret(t, heldKey), ClientToken: secret(t, servertest.Key)},
		"beside a token without a key":  {Keys: withServerKey, ClientToken: secret(t, servertest.Key)},
		"beside everyone":               {Keys: withServerKey, UpstreamKey: secret(t, heldKey), AllowAnonymous: true},
		"without the key they rely on ": {Keys: withServerKey},
	} {
		if s, err := server.New(config); err == nil {
			s.Close()
			t.Errorf("%s they are taken", name)
		}
	}
}

func TestEachTokenGoesUpAsItsOwnKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, echo)
	front := startFront(t, server.Config{
		Upstream: upstream.URL, UpstreamKey: secret(t, heldKey),
		Keys: openKeys(t, keysFile(t, keyEntry(t, "one", "sk-of-one"), keyEntry(t, "two", "sk-of-two"), keyEntry(t, "three", ""))),
	})
	for token, key := range map[string]string{"one": "sk-of-one", "two": "sk-of-two", "three": heldKey} {
		if status, body := askAs(t, front, token); status != http.StatusOK {
			t.Errorf("%s: %d %s", token, status, body)
		}
		if got := take(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + key}) {
			t.Errorf("%s goes up as %q", token, got.Header["Authorization"])
		}
		for _, kind := range clientKinds() {
			c := call{method: "CreateChatCompletion", request: hello(), metadata: http.Header{"Authorization": {"Bearer " + token}}}
			if _, err := kind.open(t, front).unary(within(t), c, new(chatv1.ChatCompletion)); err != nil {
				t.Errorf("%s: %v", token, err)
			}
			if got := take(t, upstream); !slices.Equal(got.Header["Authorization"], []string{"Bearer " + key}) {
				t.Errorf("%s goes up as %q", token, got.Header["Authorization"])
			}
		}
	}
	request := exchange{method: http.MethodTrace, path: "/v1/models", header: http.Header{"Authorization": {"Bearer one"}}}
	request.run(within(t), t, front)
	for _, got := range upstream.Take() {
		if text := fmt.Sprint(got.Header); strings.Contains(text, "Bearer") {
			t.Errorf("by TRACE goes up %s", text)
		}
	}
}

// Whoever shows an expired token is told so. A revoked one is as any other.
func TestATokenThatWasOne(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, echo)
	file := keysFile(t, keyEntry(t, "old", "sk-of-one", "expires: 2020-01-01"), keyEntry(t, "gone", "sk-of-two"))
	store := openKeys(t, file)
	front := startFront(t, server.Config{Upstream: upstream.URL, UpstreamKey: secret(t, heldKey), Keys: store})
	if status, body := askAs(t, front, "old"); status != http.StatusUnauthorized || !strings.Contains(body, "has expired") || !strings.Contains(body, `"invalid_api_key"`) {
		t.Errorf("once it expired: %d %s", status, body)
	}
	for _, kind := range clientKinds() {
		c := call{method: "CreateChatCompletion", request: hello(), metadata: http.Header{"Authorization": {"Bearer old"}}}
		_, err := kind.open(t, front).unary(within(t), c, new(chatv1.ChatCompletion))
		if failed := failureOf(t, err); failed.code != connect.CodeUnauthenticated || !strings.Contains(failed.message, "has expired") || failed.detail.GetCode() != "invalid_api_key" {
			t.Errorf("%s: %v", kind.name, failed)
		}
	}
	if status, _ := askAs(t, front, "gone"); status != http.StatusOK {
		t.Errorf("before it is revoked: %d", status)
	}
	writeKeys(t, file)
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
	versions := []string{keyEntry(t, "token", "sk-of-one"), keyEntry(t, "token", "sk-of-two"), "  - broken\n"}
	file := keysFile(t, versions[0])
	store := openKeys(t, file)
	front := startFront(t, server.Config{Upstream: upstream.URL, UpstreamKey: secret(t, heldKey), Keys: store})
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
		writeKeys(t, file, versions[i%len(versions)])
		if err := store.Reload(); (err != nil) != (i%len(versions) == 2) {
			t.Errorf("version %d: %v", i, err)
		}
	}
	close(done)
	running.Wait()
}
