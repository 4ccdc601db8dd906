package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "openai-connect-deploy") })

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if path, err := scratch(); err == nil {
			_ = os.RemoveAll(path)
		}
		os.Exit(code)
	}))
}

var build = sync.OnceValues(func() (string, error) {
	directory, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "openai-connect")
	output, err := exec.Command("go", "build", "-o", path, "../cmd/openai-connect").CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(output)))
	}
	return path, nil
})

// program builds the command, and returns its path.
func program(t *testing.T) string {
	t.Helper()
	servertest.Tool(t, "go", "see https://go.dev/dl/")
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// cleanEnvironment is the environment without what is about OpenAI.
func cleanEnvironment() []string {
	var environment []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OPENAI_") {
			environment = append(environment, setting)
		}
	}
	return environment
}

// readFile reads a file of this folder.
func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
