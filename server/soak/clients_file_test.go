package soak_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clients are the clients in the clients file, with their rules.
var clients = []struct{ name, rules string }{
	{"alice", "limits: {requests_per_minute: 100000000, tokens_per_minute: 100000000000, concurrent_streams: 100000}"},
	{"bob", "limits: {tokens_per_day: 100000000000000}"},
	{"carol", "limits: {requests_per_minute: 30, models: {sandbox*: {tokens_per_minute: 1000}}}"},
	{"dave", "models: [gpt-5*]"},
	{"erin", ""},
}

// clientsFile is a clients file that changes.
type clientsFile struct {
	path   string
	tokens map[string]string // API key of each client
	keys   map[string]string // upstream key of each client
}

func newClientsFile(t *testing.T) *clientsFile {
	t.Helper()
	f := &clientsFile{path: filepath.Join(t.TempDir(), "clients.yaml"), tokens: make(map[string]string), keys: make(map[string]string)}
	for _, client := range clients {
		f.tokens[client.name], f.keys[client.name] = secret("oc-"), secret("sk-up-")
	}
	f.tokens[""] = secret("oc-") // unknown key
	f.write(t, true)
	return f
}

// secret returns a random key with a prefix.
func secret(prefix string) string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(random)
}

// environment returns the variables with the upstream keys.
func (f *clientsFile) environment() []string {
	var settings []string
	for client, key := range f.keys {
		settings = append(settings, variable(client)+"="+key)
	}
	return settings
}

func variable(client string) string { return "SOAK_KEY_" + strings.ToUpper(client) }

// write writes the file, with or without erin.
func (f *clientsFile) write(t *testing.T, withErin bool) {
	t.Helper()
	var text strings.Builder
	text.WriteString("clients:\n")
	for _, client := range clients {
		if client.name == "erin" && !withErin {
			continue
		}
		digest := sha256.Sum256([]byte(f.tokens[client.name]))
		fmt.Fprintf(&text, "  - name: %s\n    hash: sha256:%s\n    upstream_key: {env: %s}\n",
			client.name, hex.EncodeToString(digest[:]), variable(client.name))
		if client.rules != "" {
			fmt.Fprintf(&text, "    %s\n", client.rules)
		}
	}
	f.replace(t, text.String())
}

// breakFile makes the file invalid. The previous version stays active.
func (f *clientsFile) breakFile(t *testing.T) {
	t.Helper()
	f.replace(t, "clients:\n  - name: alice\n    limit: [\n")
}

func (f *clientsFile) replace(t *testing.T, text string) {
	t.Helper()
	next := f.path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Error(err)
		return
	}
	if err := os.Rename(next, f.path); err != nil {
		t.Error(err)
	}
}
