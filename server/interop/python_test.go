// Package interop_test generates code from the .proto files for other languages
// and runs it against a server.
package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// packages are the Python packages of the test, pinned as in .ci/run.
var packages = []string{"grpcio==1.85.3", "grpcio-tools==1.85.1", "openai==3.57.0"}

// TestPython_StubsWorkBesideOpenAI uses generated stubs and PyPI's openai in one
// process. Both packages must be importable together, so the stubs must not be
// in a package openai.
func TestPython_StubsWorkBesideOpenAI(t *testing.T) {
	t.Parallel()
	python := findPython(t)
	stubs := generateStubs(t, python)
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})

	output := run(t, python, []string{"PYTHONPATH=" + stubs}, "testdata/grpcio_and_openai.py", front.Address)

	const want = `This is the sandbox: no model, no key, no network. You said: "Hello!"` + "\n"
	if output != strings.Repeat(want, 4) {
		t.Errorf("the output is\n%swant four times\n%s", output, want)
	}
}

// findPython returns the interpreter of the virtual environment bin/python, or
// of the machine. It skips the test if a package is missing.
func findPython(t *testing.T) string {
	t.Helper()
	python, err := filepath.Abs("../../bin/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		python = servertest.Tool(t, "python3", "install Python 3")
	}
	command := exec.CommandContext(t.Context(), python, "-c", "import grpc, grpc_tools, openai")
	if output, err := command.CombinedOutput(); err != nil {
		servertest.Skip(t, python+" lacks a package: "+lastLine(output)+": "+python+" -m pip install "+strings.Join(packages, " "))
	}
	return python
}

func lastLine(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return lines[len(lines)-1]
}

// generateStubs returns a directory with the Python code of all .proto files.
func generateStubs(t *testing.T, python string) string {
	t.Helper()
	files, err := filepath.Glob("../../proto/openaiconnect/*/v1/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no .proto files (error: %v)", err)
	}
	dir := t.TempDir()
	arguments := []string{"-m", "grpc_tools.protoc", "-I", "../../proto", "--python_out", dir, "--pyi_out", dir, "--grpc_python_out", dir}
	if output := run(t, python, nil, slices.Concat(arguments, files)...); output != "" {
		t.Errorf("protoc warns:\n%s", output)
	}
	return dir
}

// run runs Python and returns what it prints. The test ends if it fails.
func run(t *testing.T, python string, environment []string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), python, arguments...)
	command.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1")
	command.Env = append(command.Env, environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}
