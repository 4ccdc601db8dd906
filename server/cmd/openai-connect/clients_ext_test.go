package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// clientsOf runs a command on a file of tokens, which has to succeed, and returns what
// it writes.
func clientsOf(t *testing.T, file string, arguments ...string) outcome {
	t.Helper()
	got := end(t, []string{"OPENAI_CONNECT_CLIENTS=" + file}, append([]string{"clients"}, arguments...)...)
	if got.status != 0 {
		t.Fatalf("%q ended with %+v", arguments, got)
	}
	return got
}

var tokenLine = regexp.MustCompile(`^oc-[A-Za-z0-9_-]{43}\n$`)

// printed checks that a command wrote a token and nothing else to stdout, and
// nothing of it to stderr. It returns the token.
func printed(t *testing.T, got outcome) string {
	t.Helper()
	token := strings.TrimSuffix(got.stdout, "\n")
	if !tokenLine.MatchString(got.stdout) || strings.Contains(got.stderr, token) {
		t.Fatalf("got output %+v", got)
	}
	return token
}

func TestClients_AreAddedListedRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clients.yaml")
	alice := printed(t, clientsOf(t, file, "add", "alice", "--expires", "2126-01-01", "--model", "gpt-5*,o3", "--model", "o4", "--path", "/v1/chat/completions",
		"--upstream-key-env", "ALICE", "--requests-per-minute", "60", "--tokens-per-minute", "100000", "--tokens-per-day", "2000000", "--concurrent-streams", "10"))
	bob := printed(t, clientsOf(t, file, "add", "bob", "--upstream-key-file", "bob.key"))
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("got file %v, %v", info, err)
	}
	checkListed(t, file, map[string]string{
		"alice": `{"name":"alice","expires":"2126-01-01","expired":false,"upstream_key":{"env":"ALICE"},"models":["gpt-5*","o3","o4"],"paths":["/v1/chat/completions"],` +
			`"limits":{"requests_per_minute":60,"tokens_per_minute":100000,"tokens_per_day":2000000,"concurrent_streams":10}}`,
		"bob": "",
	}, map[string]string{"alice": alice, "bob": bob})
	table := clientsOf(t, file, "list").stdout
	for _, cells := range []string{
		`NAME +EXPIRES +UPSTREAM KEY +MODELS +PATHS +LIMITS`,
		`alice +2126-01-01 +env ALICE +gpt-5\* o3 o4 +/v1/chat/completions +60 requests/min, 100000 tokens/min, 2000000 tokens/day, 10 streams`,
		`bob +never +file /.*/bob.key +all +all +none`,
	} {
		if !regexp.MustCompile(`(?m)^` + cells + `$`).MatchString(table) {
			t.Errorf("got no line like %s:\n%s", cells, table)
		}
	}
	rotated := clientsOf(t, file, "rotate", "bob")
	another := printed(t, rotated)
	if another == bob || !regexp.MustCompile(`within a second of 2\d{3}-`).MatchString(rotated.stderr) {
		t.Errorf("rotate: got %+v", rotated)
	}
	checkListed(t, file, map[string]string{"alice": "", "bob": ""}, map[string]string{"alice": alice, "bob": another})
	revoked := clientsOf(t, file, "revoke", "alice")
	if revoked.stdout != "" || !strings.HasPrefix(revoked.stderr, "Removed alice from "+file) {
		t.Errorf("revoke: got %+v", revoked)
	}
	checkListed(t, file, map[string]string{"bob": ""}, map[string]string{"bob": another})
	text, err := os.ReadFile(file)
	for _, token := range []string{alice, bob, another} {
		if err != nil || strings.Contains(string(text), token) {
			t.Errorf("the file has a token: %s, %v", text, err)
		}
	}
}

// checkListed checks who is listed, as what unless that is empty, and whose tokens
// the file has.
func checkListed(t *testing.T, file string, want, tokens map[string]string) {
	t.Helper()
	var list []json.RawMessage
	output := clientsOf(t, file, "list", "--json").stdout
	if err := json.Unmarshal([]byte(output), &list); err != nil || len(list) != len(want) || strings.Contains(output, "sha256") {
		t.Errorf("got list %s, %v", output, err)
	}
	for _, encoded := range list {
		var token struct{ Name string }
		if err := json.Unmarshal(encoded, &token); err != nil {
			t.Error(err)
		}
		compact := strings.NewReplacer("\n", "", " ", "").Replace(string(encoded))
		if wanted, ok := want[token.Name]; !ok || wanted != "" && compact != wanted {
			t.Errorf("%s: got %s", token.Name, compact)
		}
	}
	entries, err := clients.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Hash != clients.HashKey(tokens[e.Name]) {
			t.Errorf("%s has another token", e.Name)
		}
	}
}

func TestClients_ListMarksExpiredKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clients.yaml")
	entry := "  - {name: old, hash: " + clients.HashKey("x").String() + ", expires: 2020-01-01, limits: {models: {o3: {requests_per_minute: 5}}}}\n"
	if err := os.WriteFile(file, []byte("clients:\n"+entry), 0o600); err != nil {
		t.Fatal(err)
	}
	if table := clientsOf(t, file, "list").stdout; !strings.Contains(table, "2020-01-01 (expired)") || !strings.Contains(table, "o3: 5 requests/min") {
		t.Errorf("got list\n%s", table)
	}
	if list := clientsOf(t, file, "list", "--json").stdout; !strings.Contains(list, `"expired": true`) || !strings.Contains(list, `"models": "o3"`) {
		t.Errorf("got list\n%s", list)
	}
}

func TestClients_RejectsInvalidFlags(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := filepath.Join(directory, "clients.yaml")
	printed(t, clientsOf(t, file, "add", "alice"))
	broken := filepath.Join(directory, "broken.yaml")
	if err := os.WriteFile(broken, []byte("clients:\n  - name: a\n    key: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"no file", []string{"add", "bob"}, []string{"--file=FILE", "clients add --help"}},
		{"no name", []string{"add", "--file", file}, []string{"<name>", "--help"}},
		{"no command", nil, []string{"add", "list", "revoke", "rotate"}},
		{"an unknown command", []string{"remove", "alice"}, []string{"remove", "clients add, list, revoke and rotate"}},
		{"a name with a space", []string{"add", "a b", "--file", file}, []string{`"a b"`, "64"}},
		{"a name that is taken", []string{"add", "alice", "--file", file}, []string{"--file: ", file + ":3: name", "rotate"}},
		{"an unknown name", []string{"revoke", "bob", "--file", file}, []string{"--file: ", file, `"bob"`, "clients list"}},
		{"a rotation of an unknown client", []string{"rotate", "bob", "--file", file}, []string{"--file: ", file, `"bob"`}},
		{"a missing file", []string{"list", "--file", file + ".none"}, []string{"--file: ", file + ".none"}},
		{"a file in no directory", []string{"add", "bob", "--file", filepath.Join(directory, "none", "x")}, []string{"--file: ", "none"}},
		{"an invalid file", []string{"add", "bob", "--file", broken}, []string{"--file: ", broken + ":3: ", `unknown field "key"`}},
		{"an invalid expiry", []string{"add", "bob", "--file", file, "--expires", "soon"}, []string{"--expires: ", `"soon"`, "2027-01-01"}},
		{"an expiry in the past", []string{"add", "bob", "--file", file, "--expires", "2020-01-01"}, []string{"--expires: ", "in the past"}},
		{"a model with a star within", []string{"add", "bob", "--file", file, "--model", "g*t"}, []string{"--model: ", `"g*t"`}},
		{"a model with a space", []string{"add", "bob", "--file", file, "--model", "a b"}, []string{"--model: ", `"a b"`}},
		{"a path without a slash", []string{"add", "bob", "--file", file, "--path", "v1"}, []string{"--path: ", `"v1"`}},
		{"a word for a limit", []string{"add", "bob", "--file", file, "--tokens-per-day", "many"}, []string{"--tokens-per-day: ", `"many"`}},
		{"a limit of zero", []string{"add", "bob", "--file", file, "--concurrent-streams", "0"}, []string{"--concurrent-streams: ", "0"}},
		{"a negative limit", []string{"add", "bob", "--file", file, "--requests-per-minute=-1"}, []string{"--requests-per-minute: ", "-1"}},
		{"two keys", []string{"add", "bob", "--file", file, "--upstream-key-env", "A", "--upstream-key-file", "a"}, []string{"--upstream-key-env", "--upstream-key-file", "choose"}},
		{"a key instead of its variable", []string{"add", "bob", "--file", file, "--upstream-key-env", "sk-secret"}, []string{"--upstream-key-env: ", "not the key"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			// The server's variables are none of these commands'.
			settings := []string{"OPENAI_CONNECT_UPSTREAM_KEY_FILE=/nowhere", "OPENAI_CONNECT_MODEL=*x", "OPENAI_CONNECT_EXPIRES=x"}
			checkRejected(t, end(t, settings, append([]string{"clients"}, row.arguments...)...), row.says)
		})
	}
	checkStillThere(t, file)
}

// checkStillThere checks that alice is the only client of a file.
func checkStillThere(t *testing.T, file string) {
	t.Helper()
	t.Cleanup(func() { // when all is refused
		if entries, err := clients.Read(file); err != nil || len(entries) != 1 || entries[0].Name != "alice" {
			t.Errorf("the file has %+v, %v", entries, err)
		}
	})
}

func TestClients_RejectsContradictingServerFlags(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := file("token", clientToken)
	tokens := file("keys", "clients:\n  - {name: alice, hash: "+clients.HashKey("x").String()+"}\n")
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"a client key too", []string{"--clients", tokens, "--client-key-file", token}, []string{"--clients and --client-key-file", "choose"}},
		{"anonymous use too", []string{"--clients", tokens, "--allow-anonymous"}, []string{"--clients and --allow-anonymous", "choose"}},
		{"a missing file", []string{"--clients", "/nowhere"}, []string{"--clients: ", "/nowhere"}},
		{"an invalid file", []string{"--clients", file("broken", "clients:\n  - name: a\n")}, []string{"--clients: ", "broken:2: hash: is missing"}},
		{"a client without a key", []string{"--clients", tokens}, []string{"--clients: ", tokens + ":2: upstream_key: client alice", "--upstream-key-file"}},
		{"only a key", []string{"--upstream-key-file", token}, []string{"--upstream-key-file: ", "--clients"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRejected(t, end(t, nil, append(row.arguments, "--listen", "127.0.0.1:99999")...), row.says)
		})
	}
}

// statusOf returns the status of a client's request.
func statusOf(t *testing.T, p *process, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// becomes asks until a client gets a status.
func becomes(t *testing.T, p *process, token string, status int) {
	t.Helper()
	for begun := time.Now(); ; {
		got := statusOf(t, p, token)
		if got == status {
			return
		}
		if time.Since(begun) > testTimeout {
			t.Fatalf("a client gets %d, not %d", got, status)
		}
	}
}

// TestClients_ChangeWhileTheServerRuns edits the file of a running server with the
// command. No output contains an API key or upstream key, except the line that prints a
// new API key.
func TestClients_ChangeWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, "{}"))
	directory := t.TempDir()
	file, ownKey := filepath.Join(directory, "clients.yaml"), filepath.Join(directory, "own.key")
	const own = "sk-secret-of-alice-alone"
	if err := os.WriteFile(ownKey, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := printed(t, clientsOf(t, file, "add", "alice", "--upstream-key-file", ownKey))
	p := start(t, []string{"OPENAI_CONNECT_CLIENTS=" + file, "OPENAI_CONNECT_LOG_LEVEL=debug"},
		"--upstream", upstream.URL, "--listen", "127.0.0.1:0", "--upstream-key-file", secretFile(t, heldKey))
	for _, text := range commandsOf(p.banner)[:grpcCommand] {
		if !strings.Contains(text, `authorization: Bearer $OPENAI_CONNECT_API_KEY"`) {
			t.Errorf("this command has another credential:\n%s", text)
		}
	}
	if got := statusOf(t, p, alice); got != http.StatusOK {
		t.Errorf("alice gets %d", got)
	}
	checkKey(t, upstream, []string{"Bearer " + own})

	bob := printed(t, clientsOf(t, file, "add", "bob"))
	becomes(t, p, bob, http.StatusOK)
	checkKey(t, upstream, []string{"Bearer " + heldKey})
	another := printed(t, clientsOf(t, file, "rotate", "alice"))
	becomes(t, p, another, http.StatusOK)
	if got := statusOf(t, p, alice); got != http.StatusUnauthorized {
		t.Errorf("by the token before, alice gets %d", got)
	}
	clientsOf(t, file, "revoke", "bob")
	becomes(t, p, bob, http.StatusUnauthorized)

	// The key changes, which shows in no file that is watched.
	const next = "sk-secret-of-alice-later"
	if err := os.WriteFile(ownKey, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream.Take()
	p.signal(t, syscall.SIGHUP)
	for begun := time.Now(); ; {
		if got := statusOf(t, p, another); got != http.StatusOK {
			t.Fatalf("alice gets %d", got)
		}
		if sent := upstream.Take(); len(sent) == 1 && slices.Equal(sent[0].Header["Authorization"], []string{"Bearer " + next}) {
			break
		}
		if time.Since(begun) > testTimeout {
			t.Fatal("the key isn't read again")
		}
	}
	if err := os.WriteFile(file, []byte("clients:\n  - token: "+bob+"\n    hash: "+another+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	if got := statusOf(t, p, another); got != http.StatusOK {
		t.Errorf("with an invalid file: got status %d for alice", got)
	}
	p.signal(t, os.Interrupt)
	p.exitsCleanly(t)
	written := p.banner + p.more.String() + p.stderr.String()
	for _, hidden := range []string{alice, another, bob, own, next, heldKey, clients.HashKey(another).String()[7:]} {
		if strings.Contains(written, hidden) {
			t.Errorf("got a secret in the output:\n%s", written)
		}
	}
	if !strings.Contains(written, "added=[bob]") || !strings.Contains(written, "removed=[bob]") || !strings.Contains(written, "changed=[alice]") {
		t.Errorf("got output\n%s", written)
	}
}
