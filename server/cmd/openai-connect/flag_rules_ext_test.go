package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFlags_NoneIsSilentlyIgnored gives flags that have no effect together with others, or
// without them, on the command line, in the environment and in a configuration file.
func TestFlags_NoneIsSilentlyIgnored(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	held, own := secretFile(t, heldKey), secretFile(t, clientToken)
	directory := t.TempDir()
	clients := filepath.Join(directory, "clients.yaml")
	upstreams, open := filepath.Join(directory, "upstreams.yaml"), filepath.Join(directory, "open.yaml")
	for path, text := range map[string]string{clients: "clients: []\n", open: "upstreams: [{name: a, url: 'http://a.example/v1'}]\n", upstreams: "upstreams: [{name: a, url: sandbox, key: none}]\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		flags []string // name=value, the first is the one to name
		says  []string
	}{
		{[]string{"upstreams=" + upstreams, "upstream=https://api.openai.com/v1"}, []string{"--upstreams and --upstream: mutually exclusive", "list the upstream in the file"}},
		{[]string{"upstreams=" + upstreams, "upstream-retries=0"}, []string{"--upstreams and --upstream-retries: mutually exclusive"}},
		{[]string{"clients=" + clients, "client-key-file=" + own}, []string{"--clients and --client-key-file: mutually exclusive"}},
		{[]string{"clients=" + clients, "allow-anonymous=true"}, []string{"--clients and --allow-anonymous: mutually exclusive"}},
		{[]string{"client-key-file=" + own, "allow-anonymous=true", "upstream-key-file=" + held}, []string{"--client-key-file and --allow-anonymous: mutually exclusive"}},
		{[]string{"domain=a.example.com", "tls-cert=" + chain, "tls-key=" + key}, []string{"--domain and --tls-cert: mutually exclusive"}},
		{[]string{"tls-cert=" + chain}, []string{"--tls-cert: requires --tls-key"}},
		{[]string{"tls-key=" + key}, []string{"--tls-key: requires --tls-cert"}},
		{[]string{"http-listen=:80"}, []string{"--http-listen: requires --domain"}},
		{[]string{"acme-directory=https://a/"}, []string{"--acme-directory: requires --domain"}},
		{[]string{"acme-email=a@example.com"}, []string{"--acme-email: requires --domain"}},
		{[]string{"acme-ca=" + chain}, []string{"--acme-ca: requires --domain"}},
		{[]string{"certificate-dir=" + directory}, []string{"--certificate-dir: requires --domain"}},
		{[]string{"redis=redis://127.0.0.1"}, []string{"--redis: requires --clients"}},
		{[]string{"redis-password-file=" + own}, []string{"--redis-password-file: requires --redis"}},
		{[]string{"admin-pprof=true"}, []string{"--admin-pprof: requires --admin"}},
		{[]string{"proxy-protocol=true"}, []string{"--proxy-protocol: requires --trusted-proxies"}},
		{[]string{"upstream-key-file=" + held}, []string{"--upstream-key-file: an upstream key requires client authentication", "add --client-key-file, --clients or --allow-anonymous"}},
		{[]string{"client-key-file=" + own}, []string{"--client-key-file: ", "--upstream-key-file"}},
		{[]string{"client-key-file=" + own, "upstreams=" + open}, []string{"--client-key-file: has no effect"}},
		{[]string{"allow-anonymous=true"}, []string{"--allow-anonymous: ", "--upstream-key-file"}},
		{[]string{"allow-anonymous=true", "upstreams=" + upstreams}, []string{"--allow-anonymous: has no effect"}},
		{[]string{"forward-organization=true"}, []string{"--forward-organization: requires --client-key-file, --clients or --allow-anonymous"}},
		{[]string{"forward-organization=true", "upstreams=" + upstreams}, []string{"--forward-organization: requires --client-key-file, --clients or --allow-anonymous"}},
		{[]string{"allowed-host=a.example"}, []string{"--allowed-host: requires --allow-anonymous or --admin"}},
		{[]string{"access-log=true", "log-level=warn"}, []string{"--access-log and --log-level: ", "info or debug"}},
		{[]string{"log-content=true", "log-level=error"}, []string{"--log-content and --log-level: ", "info or debug"}},
		{[]string{"upstream-http2=true", "upstream=http://a.example/v1"}, []string{"--upstream-http2: ", "https"}},
		{[]string{"upstream-http2=true", "upstream=sandbox"}, []string{"--upstream-http2: ", "https"}},
		{[]string{"proxy=http://a.example:3128", "upstream=sandbox"}, []string{"--proxy: ", "sandbox"}},
		{[]string{"upstream-ca=" + chain, "upstreams=" + upstreams}, []string{"--upstream-ca: ", "sandbox"}},
	} {
		var arguments, settings []string
		var config strings.Builder
		for _, flag := range row.flags {
			name, value, _ := strings.Cut(flag, "=")
			arguments = append(arguments, "--"+flag)
			settings = append(settings, "OPENAI_CONNECT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+value)
			switch {
			case name == "domain", name == "allowed-host":
				value = "[" + value + "]"
			case value != "true" && value != "0":
				value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
			}
			config.WriteString(strings.ReplaceAll(name, "-", "_") + ": " + value + "\n")
		}
		path := configFile(t, config.String())
		variable, _, _ := strings.Cut(settings[0], "=")
		first, _, _ := strings.Cut("--"+row.flags[0], "=")
		for _, source := range []struct {
			name                string
			settings, arguments []string
			says                string
		}{
			{"command line", nil, arguments, first},
			{"environment", settings, nil, first + " is set by " + variable},
			{"configuration file", nil, []string{"--config", path}, first + " is set by " + path + ":1"},
			{"both", settings[:1], append(slices.Clone(arguments[1:]), "--max-queue", "7"), first + " is set by " + variable},
		} {
			t.Run(strings.Join(arguments, " ")+" from the "+source.name, func(t *testing.T) {
				t.Parallel()
				got := end(t, source.settings, append(source.arguments, "--listen", "127.0.0.1:99999")...)
				checkRejected(t, got, append(slices.Clip(row.says), source.says))
			})
		}
	}
}

// A boolean flag that is false is not given.
func TestFlags_FalseDoesNotCount(t *testing.T) {
	t.Parallel()
	got := end(t, []string{"OPENAI_CONNECT_ALLOW_ANONYMOUS=false", "OPENAI_CONNECT_ADMIN_PPROF=false"}, "check", "--upstream", "sandbox", "--listen", "127.0.0.1:0")
	if got.status != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestFlags_AnEmptyValueIsRejected(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"upstream", "upstreams", "proxy", "clients", "redis", "admin", "otlp-endpoint", "config", "tls-cert"} {
		checkRejected(t, end(t, nil, "--"+flag+"="), []string{"--" + flag + ": ", "empty"})
	}
}
