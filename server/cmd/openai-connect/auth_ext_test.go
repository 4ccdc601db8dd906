package main_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

const (
	heldKey     = "sk-secret-of-the-upstream"
	clientToken = "secret-of-the-clients"
)

// secretFile writes a file that the owner alone can read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "it's a secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAuth_RejectsIncompleteOrContradictingFlags looks at complaints, in none of which the
// word secret may be: see checkRejected.
func TestAuth_RejectsIncompleteOrContradictingFlags(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, token := file("key", heldKey+"\n"), file("token", clientToken+"\n")
	const variable = "OPENAI_CONNECT_UPSTREAM_KEY"
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"only a key in a file", nil, []string{"--upstream-key-file", key}, []string{"--upstream-key-file: ", "--client-key-file", "--allow-anonymous"}},
		{"only a key in the variable", []string{variable + "=" + heldKey}, nil, []string{variable + ": ", "--client-key-file", "--allow-anonymous"}},
		{"a key in a file and in the variable", []string{variable + "=" + heldKey}, []string{"--upstream-key-file", key, "--allow-anonymous"}, []string{"--upstream-key-file", variable, "choose"}},
		{"an empty variable", []string{variable + "="}, []string{"--allow-anonymous"}, []string{variable + ": ", "empty"}},
		{"a variable of two lines", []string{variable + "=" + heldKey + "\nsecret"}, []string{"--allow-anonymous"}, []string{variable + ": ", "must be a single line"}},
		{"a client key and anonymous use", nil, []string{"--upstream-key-file", key, "--client-key-file", token, "--allow-anonymous"}, []string{"--client-key-file", "--allow-anonymous", "choose"}},
		{"a client key without an upstream key", nil, []string{"--client-key-file", token}, []string{"--client-key-file: ", "--upstream-key-file"}},
		{"anonymous use without an upstream key", nil, []string{"--allow-anonymous"}, []string{"--allow-anonymous: ", "--upstream-key-file"}},
		{"the upstream key as the client key", nil, []string{"--upstream-key-file", key, "--client-key-file", key}, []string{"--client-key-file: ", "is an upstream key"}},
		{"an organization without a key", nil, []string{"--forward-organization"}, []string{"--forward-organization: ", "replaces keys"}},
		{"a missing key", nil, []string{"--upstream-key-file", "/nowhere", "--allow-anonymous"}, []string{"--upstream-key-file: ", "/nowhere"}},
		{"a key that is a directory", nil, []string{"--upstream-key-file", directory, "--allow-anonymous"}, []string{"--upstream-key-file: ", directory}},
		{"a key that is empty", nil, []string{"--upstream-key-file", file("empty", "\n"), "--allow-anonymous"}, []string{"--upstream-key-file: ", "empty"}},
		{"a key of two lines", nil, []string{"--upstream-key-file", file("lines", heldKey+"\n"+heldKey+"\n"), "--allow-anonymous"}, []string{"--upstream-key-file: ", "must be a single line"}},
		{"a token with a control character", nil, []string{"--upstream-key-file", key, "--client-key-file", file("control", clientToken+"\x1b")}, []string{"--client-key-file: ", "control character"}},
		{"a flag for the key itself", nil, []string{"--upstream-key", "sk"}, []string{"--upstream-key"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			// Were it taken, the address would be complained of.
			checkRejected(t, end(t, row.settings, append(row.arguments, "--listen", "127.0.0.1:99999")...), row.says)
		})
	}
}

func TestAuth_ReplacesClientKeyWithUpstreamKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{"id":"1","object":"chat.completion","choices":[]}`))
	for name, row := range map[string]struct {
		settings, arguments []string
		credential          string // in the commands that are printed
	}{
		"by file, for a token":         {nil, []string{"--upstream-key-file", secretFile(t, heldKey+"\n"), "--client-key-file", secretFile(t, clientToken)}, "authorization: Bearer $(cat '"},
		"by its variable, for a token": {[]string{"OPENAI_CONNECT_UPSTREAM_KEY=" + heldKey}, []string{"--client-key-file", secretFile(t, clientToken+"\n")}, "authorization: Bearer $(cat '"},
		"by its variable, for all":     {[]string{"OPENAI_CONNECT_UPSTREAM_KEY=" + heldKey, "OPENAI_CONNECT_ALLOW_ANONYMOUS=true"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, row.settings, append(row.arguments, "--upstream", upstream.URL, "--listen", "127.0.0.1:0")...)
			for _, text := range commandsOf(p.banner)[:grpcCommand] {
				if !strings.Contains(text, row.credential) || strings.Contains(text, "authorization") != (row.credential != "") {
					t.Errorf("this command has another credential:\n%s", text)
				}
				shell(t.Context(), t, "", text)
				checkKey(t, upstream, []string{"Bearer " + heldKey})
			}
			line, err := exec.CommandContext(context.WithoutCancel(t.Context()), servertest.Tool(t, "ps", "it shows what other users see"),
				"-ww", "-o", "args=", "-p", strconv.Itoa(p.command.Process.Pid)).CombinedOutput()
			if err != nil || strings.Contains(string(line), heldKey) || strings.Contains(string(line), clientToken) {
				t.Errorf("ps shows %s, %v", line, err)
			}
			p.signal(t, os.Interrupt)
			p.exitsCleanly(t)
			if written := p.banner + p.more.String() + p.stderr.String(); strings.Contains(written, heldKey) || strings.Contains(written, clientToken) {
				t.Errorf("got output\n%s", written)
			}
			if strings.Contains(p.stderr.String(), "chmod") {
				t.Errorf("got a warning for a file with mode 0600:\n%s", &p.stderr)
			}
		})
	}
}

func TestAuth_WarnsAboutAWorldReadableKeyFile(t *testing.T) {
	t.Parallel()
	path := secretFile(t, heldKey)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "--upstream", "sandbox", "--upstream-key-file", path, "--allow-anonymous", "--listen", "127.0.0.1:0")
	p.signal(t, os.Interrupt)
	p.exitsCleanly(t)
	if text := p.stderr.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "--upstream-key-file: every user") ||
		!strings.Contains(text, "chmod 600") || strings.Contains(text, heldKey) {
		t.Errorf("got stderr %q", text)
	}
}

func TestAuth_WarnsAboutExposedKeys(t *testing.T) {
	t.Parallel()
	key := secretFile(t, heldKey)
	upstreams := secretFile(t, "upstreams: [{name: a, url: 'http://127.0.0.1:9', key: none}, {name: b, url: 'http://llm.example', key: {file: "+key+"}}]")
	keyless := secretFile(t, "upstreams: [{name: a, url: 'http://llm.example', key: none}, {name: b, url: 'http://127.0.0.1:9', key: {file: "+key+"}}]")
	for _, row := range []struct {
		name      string
		arguments []string
		says      string // nothing if empty
	}{
		{"to all of the network", []string{"--upstream", "sandbox", "--listen", ":0", "--allow-anonymous", "--upstream-key-file", key}, "--allow-anonymous: everyone"},
		{"to this machine", []string{"--upstream", "sandbox", "--listen", "127.0.0.1:0", "--allow-anonymous", "--upstream-key-file", key}, ""},
		{"on the way", []string{"--upstream", "http://llm.example", "--listen", "127.0.0.1:0", "--allow-anonymous", "--upstream-key-file", key}, "--upstream: keys and messages are sent in plain text"},
		{"on the way, by TLS", []string{"--upstream", "https://llm.example", "--listen", "127.0.0.1:0", "--allow-anonymous", "--upstream-key-file", key}, ""},
		{"on the way within this machine", []string{"--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--allow-anonymous", "--upstream-key-file", key}, ""},
		{"on the way to one of several", []string{"--upstreams", upstreams, "--listen", "127.0.0.1:0", "--allow-anonymous"}, "--upstreams: keys and messages are sent in plain text"},
		{"on the way to one of several that gets no key", []string{"--upstreams", keyless, "--listen", "127.0.0.1:0", "--allow-anonymous"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, row.arguments...)
			p.signal(t, os.Interrupt)
			p.exitsCleanly(t)
			text := p.stderr.String()
			if row.says != "" && !strings.Contains(text, row.says) || row.says == "" && strings.Contains(text, "level=WARN") || strings.Contains(text, heldKey) {
				t.Errorf("got stderr %q", text)
			}
		})
	}
}

func TestFlags_AnEmptyVariableIsRejected(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"DOMAIN", "CORS_ORIGIN", "UPSTREAM", "CLIENT_KEY_FILE", "MAX_CONNECTIONS"} {
		got := end(t, []string{"OPENAI_CONNECT_" + name + "="}, "--listen", "127.0.0.1:0")
		if got.status != 1 || !strings.HasPrefix(got.stderr, "openai-connect: OPENAI_CONNECT_"+name+": is empty") {
			t.Errorf("%s: exit status %d, stderr %q", name, got.status, got.stderr)
		}
	}
}
