// Package conformance runs the conformance suite of the Connect project against
// the server: https://github.com/connectrpc/conformance. The suite calls a
// service that the server's constructor registers next to ChatService and serves with
// the same options and middleware.
package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// suite is the program that runs the conformance suite.
const suite = "connectconformance"

// underTest is set in the environment of a process that is a server under test.
const underTest = "OPENAI_CONNECT_CONFORMANCE_SERVER"

// TestMain turns the test binary into a server under test if the suite started it, so
// that the race detector covers the server.
func TestMain(m *testing.M) {
	if os.Getenv(underTest) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := serveSuite(ctx, os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestConformance_PassesSuite(t *testing.T) {
	t.Parallel()
	runner := servertest.Tool(t, suite, "`make tools` builds it")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Some cases fail if the suite's client or server is idle for half a second, so the
	// parallelism matches the machine's.
	processors := runtime.GOMAXPROCS(0)
	command := exec.CommandContext(t.Context(), runner,
		"-v", "--mode", "server", "--conf", "testdata/suite.yaml",
		"--max-servers", strconv.Itoa(processors), "--parallel", strconv.Itoa(2*processors),
		"--", self)
	command.Env = append(os.Environ(), underTest+"=1")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	var report, stderr bytes.Buffer
	command.Stdout, command.Stderr = &report, &stderr
	err = command.Run()

	// The exit status reports failed cases, but not cases that could not run. The
	// suite ignores how its servers end, but a data race or a failed shutdown is on
	// their standard error, which should be empty.
	planned := number(report.Bytes(), `Computed (\d+) test case permutation`)
	passed := number(report.Bytes(), `(?m)^(\d+) passed, 0 failed$`)
	if err != nil || passed == 0 || passed != planned || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s\n%s", suite, err, &report, &stderr)
	}
	t.Logf("%d of %d cases passed", passed, planned)
}

// number returns the number that pattern finds in the report, or 0.
func number(report []byte, pattern string) int {
	found := regexp.MustCompile(pattern).FindSubmatch(report)
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		return 0
	}
	return n
}
