package main_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// shutdownBound is how long a shutdown may take beyond the drain timeout, on a
// machine that has other things to do.
const shutdownBound = 12 * time.Second

// endsWithin checks that a process that was told to end does so in time, whatever
// its status is.
func (p *process) endsWithin(t *testing.T, bound time.Duration) {
	t.Helper()
	began := time.Now()
	select {
	case <-p.ended:
	case <-time.After(bound):
		_ = p.command.Process.Signal(syscall.SIGQUIT)
		<-p.ended
		t.Fatalf("the process was running %v after the signal:\n%s", time.Since(began), &p.stderr)
	}
}

// silentServer accepts connections and never answers.
func silentServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().String()
}

// swapPipe puts a pipe with a silent writer in the place of a file.
func swapPipe(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(syscall.Mkfifo(path+".new", 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
}

// status asks for the models with a token.
func (p *process) status(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// awaits asks until the status is the one that is wanted.
func (p *process) awaits(t *testing.T, token string, want int) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); ; time.Sleep(10 * time.Millisecond) {
		got := p.status(t, token)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got status %d, want %d", got, want)
		}
	}
}

func TestShutdown_EndsWhileTheClientsFileBlocks(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clients.yaml")
	alice := printed(t, clientsOf(t, file, "add", "alice"))
	bob := printed(t, clientsOf(t, file, "add", "bob"))
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--clients", file)
	swapPipe(t, file)
	p.signal(t, syscall.SIGHUP)
	p.signal(t, syscall.SIGHUP)
	for range 10 {
		if got := p.status(t, alice); got != http.StatusOK {
			t.Errorf("alice gets %d while the file blocks", got)
		}
	}
	if got := p.status(t, alice+"x"); got != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d while the file blocks", got)
	}

	// A good file in place of the pipe is taken, though a read of the pipe blocks.
	if err := errors.Join(os.WriteFile(file+".new", good, 0o600), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
	clientsOf(t, file, "revoke", "alice")
	p.awaits(t, alice, http.StatusUnauthorized)
	p.awaits(t, bob, http.StatusOK)

	swapPipe(t, file)
	p.signal(t, syscall.SIGHUP)
	p.signal(t, syscall.SIGTERM)
	p.endsWithin(t, shutdownBound)
	if p.err != nil {
		t.Errorf("got exit error %v\n%s", p.err, &p.stderr)
	}
}

func TestStart_FailsIfAFileBlocks(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--clients", "--upstream-key-file", "--upstreams", "--upstream-ca"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			swapPipe(t, path)
			arguments := []string{"--listen", "127.0.0.1:0", flag, path}
			if flag == "--upstream-key-file" {
				arguments = append(arguments, "--allow-anonymous")
			}
			got := end(t, nil, arguments...)
			if got.status != 1 || !strings.HasPrefix(got.stderr, "openai-connect: "+flag+": ") || !strings.Contains(got.stderr, path) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestShutdown_EndsWhileRedisAndACollectorHang(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clients.yaml")
	alice := printed(t, clientsOf(t, file, "add", "alice", "--requests-per-minute", "100"))
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--clients", file,
		"--redis", "redis://"+silentServer(t), "--otlp-endpoint", "http://"+silentServer(t), "--admin", "127.0.0.1:0")
	if got := p.status(t, alice); got != http.StatusOK {
		t.Errorf("alice gets %d", got)
	}
	p.signal(t, syscall.SIGTERM)
	p.endsWithin(t, shutdownBound)
}

// Each of these clients reads nothing, so that the record that closes TLS, for which
// crypto/tls waits for five seconds, can't be sent to any of them.
func TestShutdown_EndsWhileClientsReadNothing(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	chain, key := certificate(t)
	p := start(t, nil, "--upstream", upstream.URL, "--listen", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key,
		"--drain-timeout", "100ms", "--log-level", "error")
	for range 5 {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/files/f/content HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	p.signal(t, syscall.SIGTERM)
	p.endsWithin(t, shutdownBound)
	if failed, ok := errors.AsType[*exec.ExitError](p.err); !ok || failed.ExitCode() != 1 || !strings.Contains(p.stderr.String(), "aborted requests in progress after 100ms") {
		t.Errorf("got exit error %v\n%s", p.err, &p.stderr)
	}
}

func TestShutdown_EndsWhileTheLogBlocks(t *testing.T) {
	t.Parallel()
	log, full, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	_ = full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err == nil {
		_, err = full.Write(make([]byte, 4<<10))
	}
	_ = full.SetWriteDeadline(time.Time{})
	command := command(t.Context(), t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--drain-timeout", "100ms")
	command.Stderr = full
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = full.Close()
	if _, err := io.ReadFull(output, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	timer := time.AfterFunc(shutdownBound, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	err = command.Wait()
	if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != 1 {
		t.Errorf("got exit error %v after %v", err, time.Since(began))
	}
}
