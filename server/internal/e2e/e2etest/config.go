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

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// UpstreamKey is the upstream key of the servers in these tests.
const UpstreamKey = "sk-held-9876543210"

// Secret returns text as a secret.
func Secret(tb testing.TB, text string) secret.Secret {
	tb.Helper()
	s, err := secret.New(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// ClientKeyConfig returns the configuration of a server that holds [UpstreamKey]
// and accepts servertest.Key, which clients send by default, as its client key.
func ClientKeyConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: Secret(tb, UpstreamKey), ClientKey: Secret(tb, servertest.Key)}
}

// AnonymousConfig returns the configuration of a server that holds [UpstreamKey]
// and accepts unauthenticated clients.
func AnonymousConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: Secret(tb, UpstreamKey), AllowAnonymous: true}
}

// ServeHello answers unary and streaming requests.
func ServeHello(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "event-stream") {
		servertest.Events(HelloChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, HelloCompletion)(w, r)
}

// CheckUpstreamKey checks that the upstream received one request, with
// [UpstreamKey] and without the client's key.
func CheckUpstreamKey(t *testing.T, upstream *servertest.Upstream) {
	t.Helper()
	got := TakeOne(t, upstream)
	if values := got.Header["Authorization"]; !slices.Equal(values, []string{"Bearer " + UpstreamKey}) {
		t.Errorf("got Authorization %q at the upstream, want the upstream key", values)
	}
	if text := fmt.Sprint(got); strings.Contains(text, servertest.Key) {
		t.Errorf("upstream received the client's key: %s", text)
	}
}

// ClientsFileConfig returns the configuration of a server with a clients file.
// The client with servertest.Key uses [UpstreamKey].
func ClientsFileConfig(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{
		Upstream: upstream, UpstreamKey: Secret(tb, "sk-of-the-server"),
		Clients: OpenClients(tb, ClientsFile(tb, ClientEntry(tb, servertest.Key, UpstreamKey), ClientEntry(tb, "another-key", "sk-of-another"))),
	}
}

// ClientEntry returns the entry of a clients file for a client with an API key,
// its own upstream key unless upstreamKey is empty, and further fields.
func ClientEntry(tb testing.TB, apiKey, upstreamKey string, fields ...string) string {
	tb.Helper()
	hash := clients.HashKey(apiKey).String()
	fields = append([]string{"  - name: client-" + hash[7:15], "hash: " + hash}, fields...)
	if upstreamKey != "" {
		path := filepath.Join(tb.TempDir(), "key")
		if err := os.WriteFile(path, []byte(upstreamKey), 0o600); err != nil {
			tb.Fatal(err)
		}
		fields = append(fields, "upstream_key: {file: "+path+"}")
	}
	return strings.Join(fields, "\n    ") + "\n"
}

// ClientsFile writes a clients file and returns its path.
func ClientsFile(tb testing.TB, entries ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "clients.yaml")
	WriteClientsFile(tb, path, entries...)
	return path
}

// WriteClientsFile replaces a clients file atomically.
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

// OpenClients opens a clients file until the test ends.
func OpenClients(tb testing.TB, path string) *clients.Store {
	tb.Helper()
	store, err := clients.Open(path, clients.Options{})
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

// ShortTimeouts are timeouts short enough to wait for in a test.
var ShortTimeouts = server.ServeConfig{HeaderTimeout: 100 * time.Millisecond, StallTimeout: 100 * time.Millisecond, IdleTimeout: 100 * time.Millisecond}

// PolicyConfig returns the configuration of a server with one client, "alice",
// whose API key is servertest.Key. The rules are lines of its entry in the
// clients file.
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

// Responses with a usage of 100 tokens.
const (
	UsageCompletion = `{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
	UsageChunk      = `{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
)

// ServeUsage answers unary and streaming requests, with a usage of 100 tokens.
func ServeUsage(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" || r.Header.Get("X-Stream") != "" {
		servertest.Events(UsageChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, UsageCompletion)(w, r)
}
