package main_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUpstreams_RejectsInvalidFlags(t *testing.T) {
	t.Parallel()
	wrong := filepath.Join(t.TempDir(), "upstreams.yaml")
	if err := os.WriteFile(wrong, []byte("upstreams:\n  - name: a\n    url: https://a.example\n    key: sk-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"a missing file", nil, []string{"--upstreams", "/no/such/file"}, []string{"--upstreams: ", "/no/such/file"}},
		{"a wrong file", nil, []string{"--upstreams", wrong}, []string{"--upstreams: ", wrong + ":4: ", "key: "}},
		{"a wrong file, by the environment", []string{"OPENAI_CONNECT_UPSTREAMS=" + wrong}, nil, []string{"--upstreams: ", wrong + ":4: "}},
		{"an upstream too", nil, []string{"--upstreams", wrong, "--upstream", "sandbox"}, []string{"--upstreams and --upstream: "}},
		{"retries in two places", nil, []string{"--upstreams", wrong, "--upstream-retries", "1"}, []string{"--upstreams and --upstream-retries: "}},
		{"too many retries", nil, []string{"--upstream-retries", "6"}, []string{"--upstream-retries: 6", "0 to 5"}},
		{"a negative number of retries", nil, []string{"--upstream-retries=-1"}, []string{"--upstream-retries: -1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRejected(t, end(t, row.settings, row.arguments...), row.says)
		})
	}
}
