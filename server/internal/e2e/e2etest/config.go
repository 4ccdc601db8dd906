package e2etest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// UpstreamKey is the upstream's key, where the server holds one.
const UpstreamKey = "sk-held-9876543210"

// Secret returns the secret that a text is.
func Secret(tb testing.TB, text string) secret.Secret {
	tb.Helper()
	s, err := secret.New(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// ClientKeyConfig is the configuration of a server that holds heldKey, and whose clients
// send servertest.Key for a token, as they do without being told.
func ClientKeyConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: Secret(tb, UpstreamKey), ClientKey: Secret(tb, servertest.Key)}
}

// AnonymousConfig is the same for everyone.
func AnonymousConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: Secret(tb, UpstreamKey), AllowAnonymous: true}
}

// ServeHello answers both sorts of calls.
func ServeHello(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "event-stream") {
		servertest.Events(HelloChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, HelloCompletion)(w, r)
}

// CheckUpstreamKey checks that the upstream has received one request, with the held key
// and nothing of the client's.
func CheckUpstreamKey(t *testing.T, upstream *servertest.Upstream) {
	t.Helper()
	got := TakeOne(t, upstream)
	if values := got.Header["Authorization"]; !slices.Equal(values, []string{"Bearer " + UpstreamKey}) {
		t.Errorf("the upstream received the authorization %q", values)
	}
	if text := fmt.Sprint(got); strings.Contains(text, servertest.Key) {
		t.Errorf("the upstream received the client's token: %s", text)
	}
}

// ClientsFileConfig is the configuration of a server of many tokens, of which servertest.Key is
// one, and heldKey is that one's own key.
func ClientsFileConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{
		Upstream: upstream, UpstreamKey: Secret(tb, "sk-of-the-server"),
		Clients: OpenClients(tb, ClientsFile(tb, ClientEntry(tb, servertest.Key, UpstreamKey), ClientEntry(tb, "another-token", "sk-of-another"))),
	}
}

// ClientEntry is the text of a client whose token and key these are, and its further
// fields. Without a key it has the server's.
func ClientEntry(tb testing.TB, token, key string, fields ...string) string {
	tb.Helper()
	hash := clients.HashKey(token).String()
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

func ClientsFile(tb testing.TB, entries ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "clients.yaml")
	WriteClientsFile(tb, path, entries...)
	return path
}

// WriteClientsFile replaces a file, as who has clients do should.
func WriteClientsFile(tb testing.TB, path string, entries ...string) {
	tb.Helper()
	text := "clients:\n" + strings.Join(entries, "")
	if len(entries) == 0 {
		text = "clients: []\n"
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func OpenClients(tb testing.TB, path string) *clients.Store {
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

// ShortTimeouts are limits that a test can wait for.
var ShortTimeouts = server.ServeConfig{HeaderTimeout: 100 * time.Millisecond, StallTimeout: 100 * time.Millisecond, IdleTimeout: 100 * time.Millisecond}

// CreatePath is where a raw client finds an RPC.
const CreatePath = "/" + chatv1connect.ChatServiceName + "/" + UnaryMethod

// PolicyConfig is the configuration of a server that knows one token, servertest.Key, by
// the name "alice", with further lines of the file of keys.
func PolicyConfig(tb testing.TB, upstream string, rules ...string) server.Config {
	tb.Helper()
	directory := tb.TempDir()
	key := filepath.Join(directory, "upstream.key")
	if err := os.WriteFile(key, []byte("sk-of-alice"), 0o600); err != nil {
		tb.Fatal(err)
	}
	digest := sha256.Sum256([]byte(servertest.Key))
	text := fmt.Sprintf("clients:\n  - name: alice\n    hash: sha256:%s\n    upstream_key: {file: %q}\n", hex.EncodeToString(digest[:]), key)
	text += "    " + strings.Join(rules, "\n    ") + "\n"
	file := filepath.Join(directory, "clients.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	store, err := clients.Open(file, clients.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	limiter := ratelimit.NewMemory()
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
		if err := limiter.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server.Config{Upstream: upstream, Clients: store, Limiter: limiter}
}

const (
	UsageCompletion = `{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
	UsageChunk      = `{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
)

// ServeUsage answers as it is asked, with 100 tokens used.
func ServeUsage(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" || r.Header.Get("X-Stream") != "" {
		servertest.Events(UsageChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, UsageCompletion)(w, r)
}
