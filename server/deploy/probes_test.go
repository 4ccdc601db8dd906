package deploy_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The server accepts the deployment's arguments, and its probes follow its start and
// its shutdown.
func TestKubernetes_ProbesAreAnswered(t *testing.T) {
	t.Parallel()
	container := manifests(t)["Deployment openai-connect"].Spec.Template.Spec.Containers[0]
	admin := commandtest.FreeAddress(t)
	one := &instance{name: "a pod", address: commandtest.FreeAddress(t), upstream: "sandbox"}
	for _, argument := range container.Args {
		switch flag, _, _ := strings.Cut(argument, "="); flag {
		case "--listen", "--drain-timeout":
		case "--admin":
			one.flags = append(one.flags, "--admin="+admin)
		case "--drain-delay":
			one.flags = append(one.flags, "--drain-delay=2s")
		case "--upstream-key-file":
			one.flags = append(one.flags, flag+"="+secretFile(t, "sk-0123456789abcdef"))
		case "--clients":
			one.flags = append(one.flags, flag+"="+secretFile(t, "clients:\n  - name: alice\n    hash: sha256:"+strings.Repeat("0123456789abcdef", 4)+"\n"))
		default:
			one.flags = append(one.flags, argument)
		}
	}
	one.start(t)
	t.Cleanup(func() { one.kill(t) })
	client := servertest.HTTPClient(t, false)
	status := func(path string) int {
		response, err := client.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, p := range []probe{container.Startup, container.Readiness, container.Liveness} {
		if got := status(p.Get.Path); got != http.StatusOK {
			t.Errorf("%s: got status %d, want 200", p.Get.Path, got)
		}
	}
	if err := one.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(waitTimeout); status(container.Readiness.Get.Path) != http.StatusServiceUnavailable; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server stays ready after SIGTERM")
		}
	}
	if got := status(container.Liveness.Get.Path); got != http.StatusOK {
		t.Errorf("%s while draining: got status %d, want 200", container.Liveness.Get.Path, got)
	}
	if err := one.command.Wait(); err != nil {
		t.Errorf("got exit %v, want success\n%s", err, one.log)
	}
}

// secretFile writes a file that only the owner can read.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
