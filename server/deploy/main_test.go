package deploy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
)

// waitTimeout is the maximum time that a test waits for an expected event.
const waitTimeout = 20 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		commandtest.Remove()
		os.Exit(code)
	}))
}

// readFile reads a file relative to this directory.
func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
