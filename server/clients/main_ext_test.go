package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/clients"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keyOf returns the API key of a client, and hashOf its hash in the file.
func keyOf(name string) string  { return "oc-secret-of-" + name }
func hashOf(name string) string { return clients.HashKey(keyOf(name)).String() }

// entry returns the YAML of a client with the given additional fields.
func entry(name string, fields ...string) string {
	lines := append([]string{"  - name: " + name, "hash: " + hashOf(name)}, fields...)
	return strings.Join(lines, "\n    ") + "\n"
}

// write writes a clients file into a temporary directory.
func write(tb testing.TB, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "clients.yaml")
	rewrite(tb, path, text)
	return path
}

func rewrite(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// text returns what a file has.
func text(tb testing.TB, path string) string {
	tb.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(got)
}

// open opens a store until the test ends.
func open(tb testing.TB, path string, options clients.Options) *clients.Store {
	tb.Helper()
	store, err := clients.Open(path, options)
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

// checkProblems checks that an error has these problems, each "LINE: FIELD: " and a
// part of the text.
func checkProblems(t *testing.T, path string, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("the file is taken, in spite of %q", want)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d problems, not %d:\n%v", len(lines), len(want), err)
	}
	for i, line := range lines {
		place, says, _ := strings.Cut(want[i], " … ")
		if !strings.HasPrefix(line, path+":"+place) || !strings.Contains(line, says) {
			t.Errorf("got\n%s, not\n%s", line, want[i])
		}
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sha256:"+strings.Repeat("0", 8)) {
		t.Errorf("it tells a secret: %v", err)
	}
}
