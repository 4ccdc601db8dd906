package servertest

import (
	"os"
	"os/exec"
	"testing"
)

// Skip skips a test that lacks something. In continuous integration (CI=true),
// where nothing may be lacking, the test fails instead.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal("would be skipped: " + reason)
	}
	tb.Skip(reason)
}

// Tool returns the path of a program that a test runs. Without the program the
// test is skipped, as by [Skip]; how says how to get it.
func Tool(tb testing.TB, name, how string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(tb, name+" is not in PATH: "+how)
	}
	return path
}
