//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestFileDescriptors_LeaveRoomForTheUpstream(t *testing.T) {
	t.Parallel()
	servertest.Tool(t, "sh", "it is of every system")
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond) // so that calls overlap
		_, _ = io.WriteString(w, "{}")
	})
	address := commandtest.FreeAddress(t)
	script := fmt.Sprintf("ulimit -n 300; exec %s --upstream %s --listen %s", commandtest.Program(t), upstream.URL, address)
	command := exec.Command("sh", "-c", script)
	command.Env = commandtest.Environment()
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for _, http2 := range []bool{true, false} {
		var running sync.WaitGroup
		client := servertest.HTTPClient(t, http2)
		if response, err := client.Get("http://" + address + "/v1/models"); err == nil { // so that calls over HTTP/2 share a connection
			response.Body.Close()
		}
		for range 400 {
			running.Go(func() {
				response, err := client.Get("http://" + address + "/v1/models")
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("got status %d", response.StatusCode)
				}
			})
		}
		running.Wait()
		client.CloseIdleConnections()
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	text := stderr.String()
	if !strings.Contains(text, "to fit the limit of file descriptors") || !strings.Contains(text, "file_descriptors=300") {
		t.Errorf("got log\n%s", text)
	}
	if strings.Contains(text, "too many open files") {
		t.Errorf("got an error of file descriptors:\n%s", text)
	}
}
