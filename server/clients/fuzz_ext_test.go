package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// FuzzEdit reads anything. What is taken says the same when a client was added and
// revoked, or is left alone if it has a form that can't be edited.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		"", "clients: []\n", "clients:\n", "a: [", "clients: [] # none\n...\n", "{clients: []}", "clients: &a []\n", "\"tokens\": []", "? tokens\n: []\n", "{clients:\r\r[]}", "---\nclients: []\n",
		"clients:\n" + entry("a") + entry("b", "limits: {models: {gpt*: {tokens_per_day: 5}}}") + "# end",
		"defaults: {models: [a*], expires: never}\nclients:\n# one\n- {name: x, hash: \"" + hashOf("x") + "\"}\n",
		"clients: [{name: a, hash: " + hashOf("a") + "}]",
		"clients:\n" + entry("a", "upstream_key: {file: >-", "  x}", "paths:", "- /v1/*", "expires: 2027-01-01T00:00:00Z"),
		"clients:\r\n  - name: a\r\n    hash: " + hashOf("a") + "\r\n",
	} {
		f.Add(seed)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(folder, "clients.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := clients.Read(path)
		if err != nil {
			if !strings.HasPrefix(err.Error(), path+":") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		const name = "added-by-the-fuzzer"
		if err := clients.Add(path, client(name)); err != nil {
			if !strings.Contains(err.Error(), "by hand") {
				t.Errorf("it can't be added to: %v", err)
			}
			return
		}
		if added, err := clients.Read(path); err != nil || len(added) != len(before)+1 || added[len(before)].Name != name {
			t.Fatalf("then it has %+v, %v:\n%s", added, err, text(t, path))
		}
		if err := clients.Revoke(path, name); err != nil {
			if !strings.Contains(err.Error(), "by hand") {
				t.Errorf("what was added can't be revoked: %v", err)
			}
			return
		}
		after, err := clients.Read(path)
		if err != nil || len(after) != len(before) {
			t.Fatalf("in the end it has %+v, %v:\n%s", after, err, text(t, path))
		}
		for i := range before {
			if !clients.Same(after[i], before[i]) {
				t.Errorf("%+v became %+v", before[i], after[i])
			}
		}
	})
}

// FuzzClient_AllowsPath looks for paths that a token without them is let go by.
func FuzzClient_AllowsPath(f *testing.F) {
	for _, seed := range []string{"/v1/files/x", "/v1/files/../x", "/v1/files/%2e%2e/x", "/v1/files/%252e./x", "/v1/files/..;/x", "/v1/files/\\..\\x", "/v1/files/%"} {
		f.Add(seed)
	}
	token := clients.Client{Paths: clients.Patterns{"/v1/files/*"}}
	f.Fuzz(func(t *testing.T, path string) {
		if !token.AllowsPath(path) {
			return
		}
		if cleaned := filepath.ToSlash(filepath.Clean(path)) + "/"; !strings.HasPrefix(cleaned, "/v1/files/") {
			t.Errorf("%q leads to %q", path, cleaned)
		}
	})
}
