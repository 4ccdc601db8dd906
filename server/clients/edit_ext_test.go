package clients_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

func client(name string) clients.Entry {
	return clients.Entry{Name: name, Hash: clients.HashKey(keyOf(name))}
}

func add(name string) func(string) error {
	return func(path string) error { return clients.Add(path, client(name)) }
}

func revoke(name string) func(string) error {
	return func(path string) error { return clients.Revoke(path, name) }
}

func rotate(name string) func(string) error {
	return func(path string) error { return clients.Rotate(path, name, clients.HashKey(keyOf("new"))) }
}

func TestEdit_LeavesTheRestOfTheFileUnchanged(t *testing.T) {
	t.Parallel()
	const head = "# Our clients.\ndefaults: # of all\n    limits: {requests_per_minute: 5}\n\n"
	for name, row := range map[string]struct {
		text, want string
		edit       func(string) error
	}{
		"one more": {
			head + "clients:\n" + entry("a") + "\n# The end.\n",
			head + "clients:\n" + entry("a") + entry("b") + "\n# The end.\n", add("b"),
		},
		"one more, before another field": {
			"clients:\n" + entry("a", "limits:", "  models:", "    gpt*: {tokens_per_day: 5} # few") + "# All:\ndefaults: {models: [x]}\n",
			"clients:\n" + entry("a", "limits:", "  models:", "    gpt*: {tokens_per_day: 5} # few") + entry("b") + "# All:\ndefaults: {models: [x]}\n", add("b"),
		},
		"the first": {
			head + "clients: [] # none yet\n# The end.\n",
			head + "clients: # none yet\n" + entry("b") + "# The end.\n", add("b"),
		},
		"to nothing but a comment": {
			"# Our clients.",
			"# Our clients.\nclients:\n" + entry("b"), add("b"),
		},
		"without a newline at the end": {
			"clients:\n" + strings.TrimSuffix(entry("a"), "\n"),
			"clients:\n" + entry("a") + entry("b"), add("b"),
		},
		"with another indentation": {
			"clients:\n- name: a\n  hash: " + hashOf("a") + "\n",
			"clients:\n- name: a\n  hash: " + hashOf("a") + "\n- name: b\n  hash: " + hashOf("b") + "\n", add("b"),
		},
		"behind entries in braces": {
			"clients:\n    - {name: a, hash: " + hashOf("a") + "}\n",
			"clients:\n    - {name: a, hash: " + hashOf("a") + "}\n    - name: b\n      hash: " + hashOf("b") + "\n", add("b"),
		},
		"with the line ends of Windows": {
			strings.ReplaceAll("clients:\n"+entry("a"), "\n", "\r\n"),
			strings.ReplaceAll("clients:\n"+entry("a")+entry("b"), "\n", "\r\n"), add("b"),
		},
		"one less": {
			head + "clients:\n" + entry("a") + "  # Bob,\n  # of sales.\n" + entry("b", "models:", "  - x # his") + "\n  # Carol.\n" + entry("c"),
			head + "clients:\n" + entry("a") + "\n  # Carol.\n" + entry("c"), revoke("b"),
		},
		"the first less": {
			head + "clients:\n" + entry("a") + "  # Bob.\n" + entry("b"),
			head + "clients:\n" + "  # Bob.\n" + entry("b"), revoke("a"),
		},
		"the last less": {
			"clients:\n" + entry("a") + entry("b", "paths:", "  [/x,", "   /y]") + "\n# The end.\ndefaults: {models: [x]}\n",
			"clients:\n" + entry("a") + "\n# The end.\ndefaults: {models: [x]}\n", revoke("b"),
		},
		"the only one less": {
			head + "clients: # ours\n" + entry("a") + "# The end.\n",
			head + "clients: [] # ours\n# The end.\n", revoke("a"),
		},
		"another token": {
			head + "clients:\n" + entry("a") + "  - hash: \"" + hashOf("b") + "\" # of March\n    name: b\n" + entry("c"),
			head + "clients:\n" + entry("a") + "  - hash: \"" + hashOf("new") + "\" # of March\n    name: b\n" + entry("c"), rotate("b"),
		},
		"another token, in braces": {
			"clients: [{name: a, hash: " + hashOf("a") + "}, {name: b, hash: " + hashOf("b") + "}]\n",
			"clients: [{name: a, hash: " + hashOf("a") + "}, {name: b, hash: " + hashOf("new") + "}]\n", rotate("b"),
		},
		"another token for a hash in capitals": {
			"clients:\n  - name: a\n    hash: sha256:" + strings.ToUpper(strings.TrimPrefix(hashOf("a"), "sha256:")) + "\n",
			"clients:\n  - name: a\n    hash: " + hashOf("new") + "\n", rotate("a"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, row.text)
			if err := row.edit(path); err != nil {
				t.Fatal(err)
			}
			if got := text(t, path); got != row.want {
				t.Errorf("it became\n%s\nnot\n%s", got, row.want)
			}
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
				t.Errorf("the folder has %v, %v", left, err)
			}
		})
	}
}

func TestEdit_ChangesNothingOnError(t *testing.T) {
	t.Parallel()
	whole := "clients:\n" + entry("a")
	for name, row := range map[string]struct {
		text string
		edit func(string) error
		says string
	}{
		"a name that is taken":                 {whole, add("a"), `clients.yaml:2: name: client "a" already exists`},
		"a token that is known":                {whole, func(path string) error { return clients.Add(path, clients.Entry{Name: "b", Hash: client("a").Hash}) }, "by hand"},
		"a client that there is not":           {whole, revoke("b"), `no client "b"`},
		"another token for one there is not":   {whole, rotate("b"), `no client "b"`},
		"a list in brackets":                   {"clients: [{name: a, hash: " + hashOf("a") + "}]\n", add("b"), "by hand"},
		"a list in brackets, for one less":     {"clients: [{name: a, hash: " + hashOf("a") + "}]\n", revoke("a"), "by hand"},
		"all in braces":                        {"{clients: []}\n", add("b"), "by hand"},
		"a document with an end":               {whole + "...\n", add("b"), "by hand"},
		"lines that end as of old":             {strings.ReplaceAll(whole, "\n", "\r"), add("b"), "by hand"},
		"a broken file":                        {"clients: [\n", add("b"), "clients.yaml:1: invalid YAML"},
		"a list without a line of its own":     {`"clients":` + "\n" + entry("a"), revoke("a"), "by hand"},
		"a file that is missing, for one less": {"", func(path string) error { return clients.Revoke(path+".none", "a") }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, row.text)
			if err := row.edit(path); err == nil || !strings.Contains(err.Error(), row.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
			if got := text(t, path); got != row.text {
				t.Errorf("it became\n%s", got)
			}
			if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
				t.Errorf("the folder has %v, %v", left, err)
			}
		})
	}
}

func TestAdd_WritesEveryField(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	whole := client("alice")
	whole.Expires = time.Date(2027, 1, 1, 12, 0, 0, 5, time.UTC)
	whole.UpstreamKey = secret.Source{File: "/run/it's a: #1 \"key\""}
	whole.Models = clients.Patterns{"gpt-5*", "*", "a:b", "#1", "true", "123", "ünïcode", "-", "!tag", "&a", "a,b", "[a]", "'", `"`, `\`, "null", "~"}
	whole.Paths = clients.Patterns{"/v1/*", "/v1/chat/completions"}
	whole.Limits = ratelimit.Limits{RequestsPerMinute: 1, TokensPerMinute: 2, TokensPerDay: 3, ConcurrentStreams: 4}
	whole.ModelLimits = []clients.ModelLimits{
		{Models: "o3", Limits: ratelimit.Limits{TokensPerDay: 5}},
		{Models: "5*", Limits: ratelimit.Limits{RequestsPerMinute: 6}},
		{Models: "*", Limits: ratelimit.Limits{ConcurrentStreams: 7}},
	}
	names := []string{"true", "null", "5x", "0x1f", ".", "-", "@", "1e3", "2027-01-01", "no"}
	want := []clients.Entry{whole}
	for _, name := range names {
		want = append(want, client(name))
	}
	for _, e := range want {
		if err := clients.Add(path, e); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
	}
	got, err := clients.Read(path)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d entries, %v, of\n%s", len(got), err, text(t, path))
	}
	for i := range want {
		if !clients.Same(got[i], want[i]) {
			t.Errorf("got %+v, not %+v, of\n%s", got[i], want[i], text(t, path))
		}
	}
}

func TestEdit_KeepsModeAndOwner(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "clients.yaml")
	mode := func(want fs.FileMode) {
		t.Helper()
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("the mode is %v, %v", info.Mode(), err)
		}
	}
	if err := clients.Add(path, client("a")); err != nil {
		t.Fatal(err)
	}
	mode(0o600)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := clients.Add(path, client("b")); err != nil {
		t.Fatal(err)
	}
	mode(0o640)
	if os.Geteuid() == 0 {
		checkOwnerStays(t, path)
	}
	link(t, "clients.yaml", filepath.Join(folder, "link"))
	if err := clients.Revoke(filepath.Join(folder, "link"), "a"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(folder, "link")); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if got, err := clients.Read(path); err != nil || len(got) != 1 || got[0].Name != "b" {
		t.Errorf("behind the link there is %+v, %v", got, err)
	}
}

func TestEdit_ConcurrentEditsAllTakeEffect(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	const editors = 20
	var running sync.WaitGroup
	failed := make(chan error, editors)
	for i := range editors {
		running.Go(func() {
			name := fmt.Sprint("client-", i)
			failed <- errors.Join(clients.Add(path, client(name)), clients.Rotate(path, name, clients.HashKey(fmt.Sprint("new-", i))))
		})
	}
	running.Wait()
	for range editors {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	got, err := clients.Read(path)
	if err != nil || len(got) != editors {
		t.Fatalf("there are %d, %v", len(got), err)
	}
	for _, e := range got {
		if e.Hash != clients.HashKey(strings.Replace(e.Name, "client", "new", 1)) {
			t.Errorf("%s has another token", e.Name)
		}
	}
}
