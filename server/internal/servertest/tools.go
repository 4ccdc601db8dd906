package servertest

import (
	"os"
	"os/exec"
	"testing"
)

// Skip skips a test that lacks a prerequisite. In continuous integration (CI=true) the
// test fails instead.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal("skipped in CI: " + reason)
	}
	tb.Skip(reason)
}

// Tool returns the path of a program. Without the program it skips the test with
// [Skip]; how describes how to install it.
func Tool(tb testing.TB, name, how string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(tb, name+" is not in PATH: "+how)
	}
	return path
}
