package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// section returns what the README has under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(project(t, "README.md"), "\n"+heading+"\n")
	end := regexp.MustCompile(`(?m)^##`).FindStringIndex(text)
	if !found || end == nil {
		t.Fatalf("the README has no section %q", heading)
	}
	return text[:end[0]]
}

// block returns the nth block of code in a language.
func block(t *testing.T, text, language string, n int) string {
	t.Helper()
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1)
	if len(blocks) <= n {
		t.Fatalf("got %d blocks of %s, want %d", len(blocks), language, n+1)
	}
	return blocks[n][1]
}

// runShell runs a shell script in a directory, with the command in PATH.
func runShell(t *testing.T, directory, text string, settings ...string) string {
	t.Helper()
	path := commandtest.Program(t)
	command := exec.CommandContext(t.Context(), servertest.Tool(t, "sh", "the README is for it"), "-e", "-c", text)
	command.Dir = directory
	command.Env = append(os.Environ(), "PATH="+filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	command.Env = append(command.Env, settings...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", text, err, output)
	}
	return string(output)
}

// What the README says about a team's tokens is run as it is printed, but for the
// upstream, which is the sandbox, and for the model, which is its.
func TestREADME_ClientsWorkAsPrinted(t *testing.T) {
	t.Parallel()
	servertest.Tool(t, "curl", "install it")
	directory := t.TempDir()
	text := section(t, "### Clients")
	setup, _, found := strings.Cut(block(t, text, "sh", 0), "openai-connect --upstream-key-file")
	if !found {
		t.Fatal("the server isn't started")
	}
	setup = strings.ReplaceAll(setup, "'gpt-5*'", "sandbox")
	runShell(t, directory, setup, "OPENAI_API_KEY=sk-of-the-readme")
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0",
		"--upstream-key-file", filepath.Join(directory, "upstream.key"), "--clients", filepath.Join(directory, "clients.yaml"))
	use := strings.ReplaceAll(strings.ReplaceAll(block(t, text, "sh", 1), "127.0.0.1:8080", p.address), "gpt-5.4-mini", "sandbox")
	output := runShell(t, directory, use)
	if !strings.Contains(output, "This is the sandbox") || !strings.Contains(output, "alice") {
		t.Errorf("%s\nwrites %s", use, output)
	}
	if left := runShell(t, directory, "openai-connect clients list --file clients.yaml"); strings.Contains(left, "alice") || !strings.Contains(left, "ci") {
		t.Errorf("got remaining clients %s", left)
	}
}

// The files in the README are accepted unchanged.
func TestREADME_FilesAreValid(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	digest := sha256.Sum256([]byte("token"))
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("first.key", "sk-first")
	tokens := write("clients.yaml", strings.Replace(block(t, section(t, "### Clients"), "yaml", 0), "3f1d…", hex.EncodeToString(digest[:]), 1))
	// Without its path, as start would take it for the banner's last line.
	upstreams := write("upstreams.yaml", strings.ReplaceAll(block(t, section(t, "### Retries and failover"), "yaml", 0), "openai.com/v1", "openai.com"))
	p := start(t, []string{"KEY_OF_ALICE=sk-alice", "SECOND_KEY=sk-second"},
		"--listen", "127.0.0.1:0", "--clients", tokens, "--upstreams", upstreams, "--admin", "127.0.0.1:0", "--log-level", "warn")
	listed := end(t, nil, "clients", "list", "--file", tokens)
	if listed.status != 0 || !strings.Contains(listed.stdout, "alice") {
		t.Errorf("got clients %+v", listed)
	}
	if !strings.Contains(p.banner, "https://api.openai.com") {
		t.Errorf("got banner %s", p.banner)
	}
}
