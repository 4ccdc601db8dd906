package clients_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
)

// Each line of the log is searched for every upstream key, so shared keys are listed
// once.
func TestStore_UpstreamKeysHasNoDuplicates(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	var text strings.Builder
	text.WriteString("clients:\n")
	for i, key := range []string{"sk-one", "sk-two", "sk-one"} {
		path := filepath.Join(directory, fmt.Sprintf("%d.key", i))
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "  - name: client-%d\n    hash: %s\n    upstream_key: {file: %s}\n", i, clients.HashKey(path), path)
	}
	fmt.Fprintf(&text, "  - name: without\n    hash: %s\n", clients.HashKey("without"))
	file := filepath.Join(directory, "clients.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := clients.Open(file, clients.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	got := store.UpstreamKeys()
	if len(got) != 2 || got[0].Reveal() != "sk-one" || got[1].Reveal() != "sk-two" {
		t.Errorf("there are %d keys, not the two", len(got))
	}
}
