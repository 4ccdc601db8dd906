package main_test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/internal/acmetest"
	"github.com/openai-connect/openai-connect/server/internal/commandtest"
)

// testTimeout is how long a test waits for what must come.
const testTimeout = 20 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, append(acmetest.Leaks(), goleak.Cleanup(func(code int) {
		commandtest.Remove()
		os.Exit(code)
	}))...)
}

// command is the command with arguments, not yet started. Of the environment it
// has what is not about OpenAI, and those settings.
func command(ctx context.Context, t *testing.T, settings []string, arguments ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(ctx, commandtest.Program(t), arguments...)
	command.Env = append(commandtest.Environment(), settings...)
	return command
}

// process is the command while it serves.
type process struct {
	url     string // its base URL
	address string
	banner  string
	command *exec.Cmd
	ended   chan struct{}

	// What it has written after the banner, and to stderr, and how it ended:
	// of use when it has.
	more, stderr bytes.Buffer
	err          error
}

// start runs the command until the test ends, and waits until it has greeted. A
// process that still runs then is stopped, and has to end well.
func start(t *testing.T, settings []string, arguments ...string) *process {
	t.Helper()
	p := &process{ended: make(chan struct{})}
	p.command = command(context.WithoutCancel(t.Context()), t, settings, arguments...)
	p.command.Stderr = &p.stderr
	output, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	for !strings.HasSuffix(p.banner, "/v1\n\n") { // its last line
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("got banner\n%s\nand then errors %v, %v\n%s", p.banner, err, p.command.Wait(), &p.stderr)
		}
		p.banner += line
	}
	go func() {
		defer close(p.ended)
		_, _ = lines.WriteTo(&p.more)
		p.err = p.command.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			p.signal(t, syscall.SIGTERM)
			p.exitsCleanly(t)
		}
	})
	first, _, _ := strings.Cut(p.banner, "\n")
	p.url = strings.TrimPrefix(first, "openai-connect listens on ")
	_, p.address, _ = strings.Cut(p.url, "://")
	return p
}

func (p *process) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Error(err)
	}
}

// wait waits until the process has ended.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(testTimeout):
		_ = p.command.Process.Kill()
		t.Fatal("the process did not exit")
	}
}

// exitsCleanly waits for an end that is a success. What is logged until then is not
// looked at.
func (p *process) exitsCleanly(t *testing.T) {
	t.Helper()
	p.wait(t)
	if p.err != nil || p.more.Len() > 0 {
		t.Errorf("exited with %v and wrote\n%s\n%s", p.err, &p.more, &p.stderr)
	}
}
