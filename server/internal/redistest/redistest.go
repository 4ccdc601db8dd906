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

// Redis is a redis-server on loopback without persistence. Its methods must be called
// from the test's goroutine.
type Redis struct {
	// Address is its HOST:PORT, also after a restart.
	Address string
	// URL is the URL of its first database, without a password.
	URL string

	path string
	args []string
	run  *exec.Cmd // nil if it is not running
}

// Start runs a redis-server until the test ends. The arguments are those of
// redis-server, such as "--requirepass", "secret".
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

// Kill ends the server with SIGKILL and waits for its end. It does nothing if the server
// is not running.
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

// Restart kills a running server, starts it again without data, and waits until it is ready.
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
			go io.Copy(io.Discard, output) // until it is killed
			return
		}
	}
	tb.Fatalf("redis-server ended before it was ready:\n%s", log.String())
}

// Pause makes the server hang: it accepts connections but doesn't answer.
func (r *Redis) Pause(tb testing.TB) { tb.Helper(); r.signal(tb, syscall.SIGSTOP) }

// Continue ends a pause.
func (r *Redis) Continue(tb testing.TB) { tb.Helper(); r.signal(tb, syscall.SIGCONT) }

func (r *Redis) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if err := r.run.Process.Signal(signal); err != nil {
		tb.Fatal(err)
	}
}
