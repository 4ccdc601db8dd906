package failover_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/failover"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFile_ReadsUpstreamsAndKeys(t *testing.T) {
	t.Setenv("KEY_OF_THE_FIRST", "sk-first")
	second := write(t, "second", "sk-second\n")
	file, err := failover.ReadFile(write(t, "upstreams.yaml", `
upstreams:            # asked in this order
  - name: openai
    url: https://api.openai.com/v1
    key: {env: KEY_OF_THE_FIRST}
  - name: openai-second-key
    url: https://api.openai.com/v1
    key: {file: `+second+`}
  - {name: local, url: "http://127.0.0.1:8000", key: none}
  - {name: trial, url: sandbox, key: none}
  - name: last
    url: https://api.openai.com/v1
retries: 3
cooldown: 1m30s
`))
	if err != nil {
		t.Fatal(err)
	}
	if file.Retries != 3 || file.Cooldown != 90*time.Second || len(file.Upstreams) != 5 {
		t.Fatalf("got %+v", file)
	}
	for i, want := range []struct {
		name, url, key string
		none           bool
	}{
		{"openai", "https://api.openai.com/v1", "sk-first", false},
		{"openai-second-key", "https://api.openai.com/v1", "sk-second", false},
		{"local", "http://127.0.0.1:8000", "", true},
		{"trial", "sandbox", "", true},
		{"last", "https://api.openai.com/v1", "", false},
	} {
		got := file.Upstreams[i]
		if got.Name != want.name || got.BaseURL != want.url || got.Key.Reveal() != want.key || got.NoKey != want.none {
			t.Errorf("upstream %d: got %+v, want %+v", i, got, want)
		}
	}
	if text := fmt.Sprintf("%+v", file); strings.Contains(text, "sk-") {
		t.Errorf("the configuration prints a key: %s", text)
	}
}

func TestParse_HasDefaults(t *testing.T) {
	file, err := failover.Parse("upstreams.yaml", []byte("upstreams: [{name: a, url: 'https://a.example'}]"))
	if err != nil {
		t.Fatal(err)
	}
	if file.Retries != failover.DefaultRetries || file.Cooldown != failover.DefaultCooldown {
		t.Errorf("got %+v, want the defaults", file)
	}
}

func TestReadFile_ReportsTheLineOfAnError(t *testing.T) {
	t.Setenv("A_KEY_OF_TWO_WORDS", "sk-not a-key")
	const secret = "sk-0123456789abcdef"
	const first = "upstreams:\n  - name: a\n    url: https://a.example\n"
	for _, row := range []struct {
		name, text string
		says       []string
	}{
		{"an empty file", "", []string{":1: upstreams: is missing or empty"}},
		{"an empty list", "upstreams: []", []string{":1: upstreams: is missing or empty"}},
		{"an unknown field", first + "retry: 1\n", []string{":4: ", `"retry"`}},
		{"an unknown field of an upstream", first + "    models: {a: b}\n", []string{":4: ", `"models"`}},
		{"an unknown field of a key", first + "    key:\n      enw: A\n", []string{":5: ", `"enw"`}},
		{"a duplicate field", first + "    url: https://b.example\n", []string{":4: url: duplicate field"}},
		{"an upstream without a name", "upstreams:\n  - url: https://a.example\n", []string{":2: ", "invalid name"}},
		{"a name with a space", "upstreams:\n  - name: a b\n    url: https://a.example\n", []string{":2: ", "invalid name", `"a b"`}},
		{"a duplicate name", first + "  - name: a\n    url: https://b.example\n", []string{":4: ", `"a"`, "line 2"}},
		{"an upstream without a URL", "upstreams:\n  - name: a\n", []string{":2: ", "url of a: ", "empty"}},
		{"a URL without a scheme", "upstreams:\n  - name: a\n    url: a.example\n", []string{":2: ", "url of a: ", "no scheme"}},
		{"a password in a URL", "upstreams:\n  - name: a\n    url: https://user:" + secret + "@a.example\n", []string{":2: ", "user name or password"}},
		{"a key in the file", first + "    key: " + secret + "\n", []string{":4: ", "key: want {env: VARIABLE}", "must not contain the key itself"}},
		{"a key with two sources", first + "    key: {env: A, file: B}\n", []string{":4: key: ", "want {env: VARIABLE} or {file: PATH}"}},
		{"a key without a source", first + "    key: {}\n", []string{":4: key: ", "is empty"}},
		{"an unset variable", first + "    key: {env: NO_SUCH_VARIABLE}\n", []string{":4: ", "NO_SUCH_VARIABLE"}},
		{"a variable that is not a valid key", first + "    key: {env: A_KEY_OF_TWO_WORDS}\n", []string{":4: ", "A_KEY_OF_TWO_WORDS", "space"}},
		{"a missing file", first + "    key: {file: /no/such/file}\n", []string{":4: ", "/no/such/file"}},
		{"too many retries", first + "retries: 6\n", []string{":4: ", "retries: 6 is out of range", "0 to 5"}},
		{"retries that are not a number", first + "retries: many\n", []string{":4: "}},
		{"a cooldown without a unit", first + "cooldown: 10\n", []string{":4: cooldown: ", "string in quotes"}},
		{"a cooldown of zero", first + "cooldown: 0s\n", []string{":4: cooldown: ", "invalid duration "}},
		{"a cooldown that is too long", first + "cooldown: 6m\n", []string{":4: cooldown: ", "invalid duration ", "5m0s"}},
		{"a list for a map", "- a\n- b\n", []string{":1: "}},
		{"a string for a list", "upstreams: " + secret + "\n", []string{":1: "}},
		{"another document", first + "---\nupstreams: []\n", []string{":5: second YAML document"}},
		{"invalid YAML", "upstreams: [\n", []string{":1: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := write(t, "upstreams.yaml", row.text)
			_, err := failover.ReadFile(path)
			if err == nil {
				t.Fatal("got no error")
			}
			text := err.Error()
			for _, want := range append(row.says, path) {
				if !strings.Contains(text, want) {
					t.Errorf("error %q does not contain %q", text, want)
				}
			}
			if strings.Contains(text, secret) || strings.Contains(text, "sk-not") || strings.Contains(text, "\n") {
				t.Errorf("error %q contains a key or several lines", text)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("upstreams: [{name: a, url: 'https://a.example', key: none}]\nretries: 2\ncooldown: 1s")
	f.Add("upstreams:\n  - name: a\n    url: https://a.example\n    key: {env: PATH}\n")
	f.Add("upstreams: &a [*a]")
	f.Add("---\n---\n")
	f.Add("upstreams:\n  - name: ~\n    key: ~\nretries: ~\ncooldown: ~")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := failover.Parse("upstreams.yaml", []byte(text))
		if err != nil {
			return
		}
		if len(file.Upstreams) == 0 || file.Retries < 0 || file.Retries > failover.MaxRetries ||
			file.Cooldown <= 0 || file.Cooldown > failover.MaxCooldown {
			t.Errorf("got invalid configuration %+v", file)
		}
	})
}

func TestParse_BoundsItsMemory(t *testing.T) { // not in parallel: it measures the memory that is allocated
	var doubled strings.Builder
	doubled.WriteString("a0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := range 30 {
		fmt.Fprintf(&doubled, "a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	one := "upstreams:\n  - name: a\n    url: https://a.example/v1\n"
	for name, text := range map[string]string{
		"brackets":           strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		"brackets in a key":  one + "    key: " + strings.Repeat("[", 10_000),
		"braces":             one + "    key: " + strings.Repeat("{file: ", 10_000),
		"dashes":             one + strings.Repeat("- ", 10_000),
		"many values":        one + strings.Repeat("  - name: b\n    url: https://b.example\n", 5_000),
		"doubled references": doubled.String() + one + "retries: *a30\n",
		"references first":   one + "retries: *a30\n" + doubled.String(),
		"a reference":        "upstreams: &u\n  - *u\n",
		"itself":             one + "    key: &k {file: *k}\n",
		"merged":             one + "    key: &k\n      <<: *k\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if file, err := failover.Parse("upstreams.yaml", []byte(text)); err == nil {
				t.Errorf("got %+v, want an error", file)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
				t.Errorf("got %d MB allocated for the error", took>>20)
			}
		})
	}
}
