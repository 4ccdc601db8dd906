// Package redistest runs a real redis-server that a test can kill, restart empty,
// and hang.
package redistest

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Redis is a redis-server on loopback that keeps nothing on disk. Its methods are
// for the test's own goroutine.
type Redis struct {
	// Address is the HOST:PORT that it listens on, now and after a restart.
	Address string
	// URL is that of its first database, without a password.
	URL string

	path string
	args []string
	run  *exec.Cmd // nil while it doesn't run
}

// Start runs a redis-server until the test ends. Further arguments are those of
// redis-server: "--requirepass", "secret".
func Start(tb testing.TB, args ...string) *Redis {
	tb.Helper()
	path := servertest.Tool(tb, "redis-server", "apt-get install redis-server")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	r := &Redis{
		Address: address,
		URL:     "redis://" + address,
		path:    path,
		args:    append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}, args...),
	}
	tb.Cleanup(func() { r.Kill(tb) })
	r.Restart(tb)
	return r
}

// Kill ends it by SIGKILL, and returns when it has. Nothing happens if it doesn't
// run.
func (r *Redis) Kill(tb testing.TB) {
	tb.Helper()
	if r.run == nil {
		return
	}
	if err := r.run.Process.Kill(); err != nil {
		tb.Error(err)
	}
	_ = r.run.Wait() // It was killed.
	r.run = nil
}

// Restart ends it, if it runs, and runs it anew, empty. It returns when it serves.
func (r *Redis) Restart(tb testing.TB) {
	tb.Helper()
	r.Kill(tb)
	run := exec.Command(r.path, r.args...)
	run.Dir = tb.TempDir()
	output, err := run.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := run.Start(); err != nil {
		tb.Fatal(err)
	}
	r.run = run
	var log strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go io.Copy(io.Discard, output) // Until it is killed.
			return
		}
	}
	tb.Fatalf("redis-server ended before it served:\n%s", log.String())
}

// Pause has it hang: it takes connections and answers nothing.
func (r *Redis) Pause(tb testing.TB) { tb.Helper(); r.signal(tb, syscall.SIGSTOP) }

// Continue ends a pause.
func (r *Redis) Continue(tb testing.TB) { tb.Helper(); r.signal(tb, syscall.SIGCONT) }

func (r *Redis) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if err := r.run.Process.Signal(signal); err != nil {
		tb.Fatal(err)
	}
}
