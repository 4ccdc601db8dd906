// Package commandtest builds the command for the tests that run it.
package commandtest

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

var directory = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "openai-connect") })

// build builds the command as `make build` does. The test binary links other packages.
var build = sync.OnceValues(func() (string, error) {
	directory, err := directory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "openai-connect")
	const command = "github.com/openai-connect/openai-connect/server/cmd/openai-connect"
	if output, err := exec.Command("go", "build", "-trimpath", "-o", path, command).CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(output)))
	}
	return path, nil
})

// Program builds the command once and returns its path. The file exists until
// [Remove].
func Program(tb testing.TB) string {
	tb.Helper()
	servertest.Tool(tb, "go", "see https://go.dev/dl/")
	path, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Remove removes the built command, at the end of all tests.
func Remove() {
	if path, err := directory(); err == nil {
		_ = os.RemoveAll(path)
	}
}

// Environment returns the environment of the test without variables about OpenAI.
func Environment() []string {
	var environment []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "OPENAI_") {
			environment = append(environment, setting)
		}
	}
	return environment
}

// FreeAddress returns an unused address of this machine.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
