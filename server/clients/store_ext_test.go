package clients_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// lines takes a log, a line at a time.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(bytes.Clone(line))
	return len(line), nil
}

func newLog() (lines, *slog.Logger) {
	log := make(lines, 1000)
	return log, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// await waits for a line that contains the given strings, and checks it for secrets.
func (l lines) await(t *testing.T, texts ...string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line := <-l:
			for _, hidden := range []string{"oc-secret", "sk-secret", "sha256:"} {
				if strings.Contains(line, hidden) {
					t.Errorf("it logs a secret: %s", line)
				}
			}
			missing := false
			for _, text := range texts {
				missing = missing || !strings.Contains(line, text)
			}
			if !missing {
				return line
			}
		case <-timeout:
			t.Fatalf("nothing logs %q", texts)
		}
	}
}

// checkKnown checks who is known, of alice, bob and carol.
func checkKnown(t *testing.T, store *clients.Store, known ...string) {
	t.Helper()
	for _, name := range []string{"alice", "bob", "carol"} {
		token, err := store.Lookup(keyOf(name))
		if is := strings.Contains(strings.Join(known, " "), name); is && (err != nil || token.Name != name) || !is && !errors.Is(err, clients.ErrUnknownKey) {
			t.Errorf("%s: got %v, %v", name, token, err)
		}
	}
}

// swap replaces a file by a rename, as editors do.
func swap(t *testing.T, path, text string) {
	t.Helper()
	rewrite(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link, in place of one that is there.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := errors.Join(os.Symlink(target, path+".new"), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

func TestStore_ReloadsAfterEveryKindOfChange(t *testing.T) {
	t.Parallel()
	alice, bob, carol := "clients:\n"+entry("alice"), "clients:\n"+entry("alice")+entry("bob"), "clients:\n"+entry("carol")
	for name, begin := range map[string]func(t *testing.T) (path string, change func(text string)){
		"in place": func(t *testing.T) (string, func(string)) {
			t.Helper()
			path := write(t, alice)
			return path, func(text string) { rewrite(t, path, text) }
		},
		"by a rename": func(t *testing.T) (string, func(string)) {
			t.Helper()
			path := write(t, alice)
			return path, func(text string) { swap(t, path, text) }
		},
		"by removing it first": func(t *testing.T) (string, func(string)) {
			t.Helper()
			path := write(t, alice)
			return path, func(text string) {
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
				rewrite(t, path, text)
			}
		},
		"by a link in its place": func(t *testing.T) (string, func(string)) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "clients.yaml")
			link(t, write(t, alice), path)
			return path, func(text string) { link(t, write(t, text), path) }
		},
		"behind a link": func(t *testing.T) (string, func(string)) {
			t.Helper()
			target, path := write(t, alice), filepath.Join(t.TempDir(), "clients.yaml")
			link(t, target, path)
			return path, func(text string) { swap(t, target, text) }
		},
		"as Kubernetes does": func(t *testing.T) (string, func(string)) {
			t.Helper()
			volume := t.TempDir()
			version := 0
			change := func(text string) {
				version++
				folder := fmt.Sprint("..", version)
				if err := os.Mkdir(filepath.Join(volume, folder), 0o700); err != nil {
					t.Error(err)
				}
				rewrite(t, filepath.Join(volume, folder, "clients.yaml"), text)
				link(t, folder, filepath.Join(volume, "..data"))
				_ = os.RemoveAll(filepath.Join(volume, fmt.Sprint("..", version-1)))
			}
			change(alice)
			path := filepath.Join(volume, "clients.yaml")
			link(t, "..data/clients.yaml", path)
			return path, change
		},
		"by a link to its folder": func(t *testing.T) (string, func(string)) {
			t.Helper()
			folder := filepath.Join(t.TempDir(), "current")
			link(t, filepath.Dir(write(t, alice)), folder)
			return filepath.Join(folder, "clients.yaml"), func(text string) { link(t, filepath.Dir(write(t, text)), folder) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, logger := newLog()
			path, change := begin(t)
			store := open(t, path, clients.Options{Logger: logger})
			checkKnown(t, store, "alice")
			change(bob)
			log.await(t, "level=INFO", "clients=2", "added=[bob]", "removed=[]", "changed=[]")
			checkKnown(t, store, "alice", "bob")
			change("clients: [\n")
			log.await(t, "level=ERROR", "keeping the previous ones", path+":1: invalid YAML", "line=1")
			checkKnown(t, store, "alice", "bob")
			change(bob)
			log.await(t, "level=INFO", "clients=2", "added=[]", "removed=[]", "changed=[]")
			change(carol)
			log.await(t, "level=INFO", "clients=1", "added=[carol]", `removed="[alice bob]"`)
			checkKnown(t, store, "carol")
		})
	}
}

func TestStore_KeepsThePreviousClientsOnError(t *testing.T) {
	t.Parallel()
	log, logger := newLog()
	path := write(t, "clients:\n"+entry("alice"))
	store := open(t, path, clients.Options{Logger: logger})
	began := store.Status()
	if began.Clients != 1 || began.Failures != 0 || began.Err != nil || time.Since(began.Loaded) > time.Minute {
		t.Errorf("it begins with %+v", began)
	}
	rewrite(t, path, "clients:\n"+entry("bob", "expires: soon", "model: x"))
	if err := store.Reload(); err == nil {
		t.Error("it is taken")
	}
	log.await(t, "level=ERROR", path+":4: expires", "line=4")
	log.await(t, "level=ERROR", path+":5: ", "line=5")
	checkKnown(t, store, "alice")
	if now := store.Status(); now.Failures == 0 || now.Err == nil || now.Clients != 1 || !now.Loaded.Equal(began.Loaded) {
		t.Errorf("then it is %+v", now)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := store.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a file that is gone it says %v", err)
	}
	log.await(t, "level=ERROR", "no such file")
	checkKnown(t, store, "alice")
	rewrite(t, path, "clients:\n"+entry("bob"))
	if err := store.Reload(); err != nil {
		t.Error(err)
	}
	checkKnown(t, store, "bob")
	if now := store.Status(); now.Failures < 2 || now.Err != nil || now.Clients != 1 || !now.Loaded.After(began.Loaded) {
		t.Errorf("in the end it is %+v", now)
	}
}

func TestReload_ReadsUpstreamKeysAgain(t *testing.T) {
	log, logger := newLog()
	path := write(t, "clients:\n"+entry("alice", "upstream_key: {file: alice.key}")+entry("bob", "upstream_key: {env: KEYS_TEST_BOB}"))
	key := filepath.Join(filepath.Dir(path), "alice.key")
	rewrite(t, key, "sk-secret-1\n")
	t.Setenv("KEYS_TEST_BOB", "sk-secret-2")
	store := open(t, path, clients.Options{Logger: logger})
	check := func(name, want string) {
		t.Helper()
		if token, err := store.Lookup(keyOf(name)); err != nil || token.UpstreamKey.Reveal() != want {
			t.Errorf("%s has %q, %v", name, token.UpstreamKey.Reveal(), err)
		}
	}
	check("alice", "sk-secret-1")
	check("bob", "sk-secret-2")
	rewrite(t, key, "sk-secret-3")
	t.Setenv("KEYS_TEST_BOB", "sk-secret-4")
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	log.await(t, "clients=2", "added=[]", `changed="[alice bob]"`)
	check("alice", "sk-secret-3")
	check("bob", "sk-secret-4")
	rewrite(t, key, "")
	if err := store.Reload(); err == nil {
		t.Error("an empty key is taken")
	}
	log.await(t, "level=ERROR", "must not be empty")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	rewrite(t, key, "sk-secret-3")
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	log.await(t, "level=WARN", "every user", "chmod 600", key)
	check("alice", "sk-secret-3")
}

// In each version of the file a token has its name in every field, so that a
// mixture of two would show.
func TestStore_ReplacesClientsAtomically(t *testing.T) {
	t.Parallel()
	version := func(i int) string {
		var text strings.Builder
		fmt.Fprintf(&text, "clients:\n")
		for _, name := range []string{"alice", "bob"} {
			text.WriteString(entry(name, fmt.Sprintf("models: [v%d]", i), fmt.Sprintf("paths: [/v%d]", i), fmt.Sprintf("limits: {requests_per_minute: %d}", i+1)))
		}
		return text.String()
	}
	path := write(t, version(0))
	store := open(t, path, clients.Options{})
	const versions = 200
	done := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for last := int64(0); ; {
				token, err := store.Lookup(keyOf("alice"))
				if err != nil {
					t.Error(err)
					return
				}
				i := token.Limits.RequestsPerMinute - 1
				scopes := token.Scopes("")
				if i < last || !token.AllowsModel(fmt.Sprint("v", i)) || !token.AllowsPath(fmt.Sprint("/v", i)) || len(scopes) != 1 || scopes[0].Limits != token.Limits {
					t.Errorf("behind version %d it is %+v", last, token)
					return
				}
				last = i
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range versions {
		swap(t, path, version(i))
		if err := store.Reload(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	running.Wait()
	if token, err := store.Lookup(keyOf("bob")); err != nil || token.Limits.RequestsPerMinute != versions {
		t.Errorf("in the end it is %+v, %v", token, err)
	}
}

func TestClose_KeepsTheClients(t *testing.T) {
	t.Parallel()
	path := write(t, "clients:\n"+entry("alice"))
	store, err := clients.Open(path, clients.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	checkKnown(t, store, "alice")
}
