package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configFile writes a file for --config and returns its path.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigFile_SetsFlagsOfEachType(t *testing.T) {
	t.Parallel()
	keyFile, clientKey := secretFile(t, heldKey), secretFile(t, clientToken)
	path := configFile(t, `# A comment.
listen: 127.0.0.1:0
upstream: sandbox
upstream_key_file: "`+keyFile+`"
client_key_file: "`+clientKey+`"
cors_origin:
  - https://one.example
  - "https://two.example"
trusted_proxies: [10.0.0.0/8]
max_calls: 17
max_buffered_bytes: 1_000_000
drain_timeout: 2s
access_log: true
log_level: debug
log_format: json
`)
	for name, arguments := range map[string][]string{"flag": {"check", "--config", path}, "variable": {"check"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var settings []string
			if name == "variable" {
				settings = []string{"OPENAI_CONNECT_CONFIG=" + path}
			}
			got := end(t, settings, arguments...)
			if got.status != 0 {
				t.Fatalf("got %+v", got)
			}
			checkTable(t, got.stdout, "listen", "127.0.0.1:0")
			checkTable(t, got.stdout, "upstream", "sandbox")
			checkTable(t, got.stdout, "clients", "client key")
			checkTable(t, got.stdout, "web pages", "https://one.example, https://two.example")
			checkTable(t, got.stdout, "limits", "17 concurrent requests")
			checkTable(t, got.stdout, "limits", "1000000 bytes of buffers")
		})
	}
	start(t, nil, "--config", path)
}

func TestConfigFile_IsOverriddenByFlagsAndVariables(t *testing.T) {
	t.Parallel()
	path := configFile(t, "upstream: http://127.0.0.1:1\nmax_calls: 1\nmax_connections: 2\nlisten: 127.0.0.1:0\n")
	got := end(t, []string{"OPENAI_CONNECT_MAX_CALLS=3"}, "check", "--config", path, "--upstream", "sandbox")
	checkTable(t, got.stdout, "limits", "3 concurrent requests, 2 connections")
	if got.status != 0 {
		t.Errorf("got %+v", got)
	}
	got = end(t, []string{"OPENAI_CONNECT_MAX_CALLS=3"}, "check", "--config", path, "--upstream", "sandbox", "--max-calls", "4")
	checkTable(t, got.stdout, "limits", "4 concurrent requests")
}

func TestConfigFile_MayBeEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if got := end(t, nil, "check", "--config", configFile(t, text), "--upstream", "sandbox", "--listen", "127.0.0.1:0"); got.status != 0 {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestConfigFile_ErrorsNameFileAndLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		says       []string // FILE stands for the path of the file
	}{
		{"an unknown key", "listen: 127.0.0.1:0\nmax_cals: 1\n", []string{"--config: ", `FILE:2: unknown field "max_cals": did you mean`, "max_calls"}},
		{"a key with hyphens", "max-calls: 1\n", []string{"FILE:1: ", `"max-calls"`, "max_calls"}},
		{"the name of a removed flag", "keys: x\n", []string{"FILE:1: ", `"keys"`}},
		{"another configuration file", "config: x\n", []string{"FILE:1: ", `"config"`}},
		{"a key that is set twice", "max_calls: 1\nmax_queue: 2\nmax_calls: 3\n", []string{"FILE:3: ", "max_calls", "duplicate field, first on line 1"}},
		{"a string for a number", "max_calls: many\n", []string{"FILE:1: max_calls: is a string: want an integer"}},
		{"a number for a string", "admin: 9464\n", []string{"FILE:1: admin: is an integer: want a string"}},
		{"a string for a list", "cors_origin: https://a.example\n", []string{"FILE:1: cors_origin: is a string: want a list"}},
		{"a list for a string", "upstream: [sandbox]\n", []string{"FILE:1: upstream: is a list: want a string"}},
		{"a list of numbers", "trusted_proxies: [1]\n", []string{"FILE:1: trusted_proxies: is an integer: want a string"}},
		{"a word for a boolean", "access_log: \"yes\"\n", []string{"FILE:1: access_log: is a string: want true or false"}},
		{"a number for a duration", "drain_timeout: 5\n", []string{"FILE:1: drain_timeout: is an integer: want a string"}},
		{"no value", "upstream:\n", []string{"FILE:1: upstream: is empty: want a string"}},
		{"an alias", "upstream: &a sandbox\n", []string{"FILE:1: upstream: is an anchor or an alias: want a string"}},
		{"an invalid duration", "\ndrain_timeout: soon\n", []string{"--drain-timeout", `"soon"`, "FILE:2"}},
		{"an invalid level", "log_level: loud\n", []string{"--log-level: ", `"loud"`, "--log-level is set by FILE:1"}},
		{"an invalid format", "log_format: xml\n", []string{"--log-format", `"xml"`, "is set by FILE:1"}},
		{"a value out of range", "\n\nmax_calls: 0\n", []string{"--max-calls: 0", "--max-calls is set by FILE:3"}},
		{"an invalid upstream", "upstream: ftp://a\n", []string{"--upstream: ", "--upstream is set by FILE:1"}},
		{"the upstream key", "upstream_key: sk-x\n", []string{"--upstream-key: ", "OPENAI_CONNECT_UPSTREAM_KEY"}},
		{"a password of Redis", "clients: /dev/null\nredis: redis://a:secret@b\n", []string{"--redis: ", "--redis-password-file", "FILE:2"}},
		{"an empty value", "redis: ''\n", []string{"--redis: is empty", "FILE:1"}},
		{"a list alone", "- a\n", []string{"FILE:1: is a list: want a mapping"}},
		{"two documents", "max_calls: 1\n---\nmax_calls: 2\n", []string{"FILE:3: second YAML document"}},
		{"no YAML", "a: [\n", []string{"FILE:1: "}},
		{"a deep nesting", strings.Repeat("[", 100), []string{"FILE:1: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := configFile(t, row.text)
			says := []string{"--"}
			for _, text := range row.says {
				says = append(says, strings.ReplaceAll(text, "FILE", path))
			}
			checkRejected(t, end(t, nil, "--config", path, "--listen", "127.0.0.1:99999"), says)
		})
	}
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	checkRejected(t, end(t, nil, "--config", missing), []string{"--config: ", missing})
	checkRejected(t, end(t, []string{"OPENAI_CONNECT_CONFIG=" + missing}), []string{"--config: ", missing})
}

func TestConfigFile_IsIgnoredByOtherCommands(t *testing.T) {
	t.Parallel()
	got := end(t, []string{"OPENAI_CONNECT_CONFIG=/nowhere"}, "clients", "list", "--file", configFile(t, "clients: []\n"))
	if got.status != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestConfigFile_TheExampleOfTheREADMEWorks(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	text := section(t, "### The server")
	for name, content := range map[string]string{
		"config.yaml":  strings.Replace(block(t, text, "yaml", 0), "127.0.0.1:9464", "127.0.0.1:0", 1),
		"clients.yaml": "clients: []\n",
		"upstream.key": heldKey,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check, serve, found := strings.Cut(block(t, text, "sh", 0), "\n")
	if !found || serve != "openai-connect --config config.yaml\n" {
		t.Fatalf("got command line %q", serve)
	}
	upstream := statusServer(t, http.StatusOK, "Bearer "+heldKey)
	output := runShell(t, directory, check, "OPENAI_CONNECT_UPSTREAM="+upstream, "OPENAI_CONNECT_LISTEN=127.0.0.1:0")
	checkTable(t, output, "clients", "0 in clients.yaml")
	checkTable(t, output, "web pages", "https://app.example.com")
	checkTable(t, output, "limits", "2000 concurrent requests")
	checkTable(t, output, "GET /models", "200 OK")
}
