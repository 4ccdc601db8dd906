package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
)

// TestRedisPasswordFile_IsReadAtEachLogin changes the password of the store
// and the file, and cuts the server's connections.
func TestRedisPasswordFile_IsReadAtEachLogin(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	admin, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{redis.Address}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	do := func(args ...string) string {
		t.Helper()
		text, err := admin.Do(t.Context(), admin.B().Arbitrary(args[0]).Args(args[1:]...).Build()).ToString()
		if err != nil && !valkey.IsParseErr(err) {
			t.Fatal(err)
		}
		return text
	}
	connected := func() bool { return strings.Contains(do("CLIENT", "LIST"), "name=openai-connect") }
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := write("password", "first\n")
	do("CONFIG", "SET", "requirepass", "first")
	start(t, []string{"OPENAI_CONNECT_UPSTREAM_KEY=sk-upstream"}, "--listen", "127.0.0.1:0", "--upstream", "sandbox",
		"--clients", write("clients.yaml", "clients: []\n"), "--redis", redis.URL, "--redis-password-file", password, "--log-level", "error")
	if !connected() {
		t.Fatal("the server does not use the store")
	}
	write("password", "second\n")
	do("CONFIG", "SET", "requirepass", "second")
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	for deadline := time.Now().Add(testTimeout); !connected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not log in with the new password")
		}
	}
}
