// Package contender defines the proxies that the benchmark compares: how to build and
// start them.
package contender

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/openai-connect/openai-connect/server/benchmark/load"
)

// UpstreamProtocol is the protocol between a contender and the upstream.
type UpstreamProtocol string

// The upstream protocols.
const (
	Plain UpstreamProtocol = "plain" // HTTP/1.1
	TLS   UpstreamProtocol = "tls"   // HTTP/1.1 over TLS
	HTTP2 UpstreamProtocol = "http2" // HTTP/2 over TLS
)

// Contender is a proxy between a client and the upstream, or the direct connection.
type Contender struct {
	Name string
	// Protocol is the protocol of clients.
	Protocol load.Protocol
	// Ours reports whether it is openai-connect.
	Ours bool

	program           func(*Builder) (string, error)
	command           func(program string, settings Settings) (*exec.Cmd, error)
	version           func(program string) (string, error)
	upstreamProtocols []UpstreamProtocol
}

// Settings are the settings of a contender's process.
type Settings struct {
	Listen           string // the address to listen on
	Upstream         string // the upstream's address
	UpstreamProtocol UpstreamProtocol
	CA               string // PEM file of the upstream's root certificate
	Dir              string // empty directory for the contender's files
	Cores            int    // number of cores to use
	Streams          int    // maximum number of concurrent requests
}

// scheme returns the scheme of the upstream's URL.
func (s Settings) scheme() string {
	if s.UpstreamProtocol == Plain {
		return "http"
	}
	return "https"
}

// All returns all contenders in the order of the report.
func All() []Contender {
	every := []UpstreamProtocol{Plain, TLS, HTTP2}
	return []Contender{
		{Name: "direct", Protocol: load.REST, upstreamProtocols: every[:1]},
		{Name: "nginx", Protocol: load.REST, program: installed("nginx"), command: nginx, version: versionFlag("-v"), upstreamProtocols: every[:2]},
		{Name: "haproxy", Protocol: load.REST, program: installed("haproxy"), command: haproxy, version: versionFlag("-v"), upstreamProtocols: every},
		{Name: "ReverseProxy", Protocol: load.REST, program: baseline("reverseproxy"), command: goBaseline, version: goVersion, upstreamProtocols: every},
		{Name: "Caddy", Protocol: load.REST, program: baseline("caddy"), command: caddy, version: moduleVersion("github.com/caddyserver/caddy/v2"), upstreamProtocols: every},
		{Name: "Worker", Protocol: load.REST, program: workerd, command: worker, version: versionFlag("--version"), upstreamProtocols: every[:2]},
		{Name: "vanguard", Protocol: load.Vanguard, program: baseline("vanguard"), command: goBaseline, version: moduleVersion("connectrpc.com/vanguard"), upstreamProtocols: every},
		{Name: "ours raw", Protocol: load.REST, Ours: true, program: ours, command: openaiConnect, version: revision, upstreamProtocols: every},
		{Name: "ours gRPC", Protocol: load.GRPC, Ours: true, program: ours, command: openaiConnect, version: revision, upstreamProtocols: every},
		{Name: "ours Connect", Protocol: load.Connect, Ours: true, program: ours, command: openaiConnect, version: revision, upstreamProtocols: every},
		{Name: "ours gRPC-Web", Protocol: load.GRPCWeb, Ours: true, program: ours, command: openaiConnect, version: revision, upstreamProtocols: every},
	}
}

// Supports reports whether the contender supports an upstream protocol.
func (c Contender) Supports(upstreamProtocol UpstreamProtocol) bool {
	return slices.Contains(c.upstreamProtocols, upstreamProtocol)
}

// IsDirect reports whether clients connect to the upstream without a proxy.
func (c Contender) IsDirect() bool { return c.command == nil }

// Streams reports whether the contender supports streams.
func (c Contender) Streams() bool { return c.Protocol != load.Vanguard }

// Program returns the path of the contender's program. It builds the program if
// necessary, and returns an error if a program is not installed.
func (c Contender) Program(b *Builder) (string, error) {
	if c.IsDirect() {
		return "", nil
	}
	return c.program(b)
}

// Command returns the command that starts the contender.
func (c Contender) Command(program string, settings Settings) (*exec.Cmd, error) {
	return c.command(program, settings)
}

// Version returns the version of the contender's program.
func (c Contender) Version(program string) (string, error) {
	if c.IsDirect() {
		return "", nil
	}
	return c.version(program)
}

// installed finds an installed program.
func installed(name string) func(*Builder) (string, error) {
	return func(*Builder) (string, error) { return exec.LookPath(name) }
}

func baseline(name string) func(*Builder) (string, error) {
	return func(b *Builder) (string, error) { return b.Build(".", "./baselines/"+name) }
}

// ours builds openai-connect as `make build` does.
func ours(b *Builder) (string, error) { return b.Build("../..", "./server/cmd/openai-connect") }

func openaiConnect(program string, settings Settings) (*exec.Cmd, error) {
	args := []string{"--listen", settings.Listen, "--upstream", settings.scheme() + "://" + settings.Upstream, "--proxy", "none", "--log-level", "error"}
	if settings.UpstreamProtocol != Plain {
		args = append(args, "--upstream-ca", settings.CA)
	}
	if settings.UpstreamProtocol == HTTP2 {
		args = append(args, "--upstream-http2")
	}
	return run(program, args...), nil
}

// goBaseline returns the command of a baseline that uses package tuned.
func goBaseline(program string, settings Settings) (*exec.Cmd, error) {
	args := []string{"-listen", settings.Listen, "-upstream", settings.scheme() + "://" + settings.Upstream}
	if settings.UpstreamProtocol != Plain {
		args = append(args, "-ca", settings.CA)
	}
	if settings.UpstreamProtocol == HTTP2 {
		args = append(args, "-http2")
	}
	return run(program, args...), nil
}

// run returns a command without a time limit.
func run(program string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), program, args...) //nolint:gosec // built by the benchmark
}

// write writes a configuration file.
func write(file, format string, args ...any) error {
	return os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o600) //nolint:gosec // in the benchmark's directory
}
