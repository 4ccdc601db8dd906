// Package subject is what the benchmark measures: each way between a client and
// the upstream, how it is built, and how it is started.
package subject

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/openai-connect/openai-connect/server/benchmark/load"
)

// Way is how the upstream is spoken to.
type Way string

// The ways to the upstream.
const (
	Plain Way = "plain" // HTTP/1.1
	TLS   Way = "tls"   // HTTP/1.1 over TLS
	HTTP2 Way = "http2" // HTTP/2 over TLS
)

// Subject is a way between a client and the upstream.
type Subject struct {
	Name string
	// Form is how clients call it.
	Form load.Form
	// Ours says that it is this repository's.
	Ours bool

	program func(*Workshop) (string, error)
	command func(program string, site Site) (*exec.Cmd, error)
	version func(program string) (string, error)
	ways    []Way
}

// Site is where a subject stands.
type Site struct {
	Listen   string // the address to listen on
	Upstream string // the upstream's address
	Way      Way
	CA       string // PEM file of the root to trust for the upstream
	Dir      string // for files of its own, empty
	Cores    int    // how many it may use
	Streams  int    // the most calls at a time
}

// scheme is that of the upstream's URL.
func (s Site) scheme() string {
	if s.Way == Plain {
		return "http"
	}
	return "https"
}

// All returns every subject, in the order of the report.
func All() []Subject {
	every := []Way{Plain, TLS, HTTP2}
	return []Subject{
		{Name: "direct", Form: load.REST, ways: every[:1]},
		{Name: "nginx", Form: load.REST, program: installed("nginx"), command: nginx, version: printed("-v"), ways: every[:2]},
		{Name: "haproxy", Form: load.REST, program: installed("haproxy"), command: haproxy, version: printed("-v"), ways: every},
		{Name: "ReverseProxy", Form: load.REST, program: peer("reverseproxy"), command: goPeer, version: goVersion, ways: every},
		{Name: "Caddy", Form: load.REST, program: peer("caddy"), command: caddy, version: required("github.com/caddyserver/caddy/v2"), ways: every},
		{Name: "Worker", Form: load.REST, program: workerd, command: worker, version: printed("--version"), ways: every[:2]},
		{Name: "vanguard", Form: load.Vanguard, program: peer("vanguard"), command: goPeer, version: required("connectrpc.com/vanguard"), ways: every},
		{Name: "ours raw", Form: load.REST, Ours: true, program: ours, command: openaiConnect, version: revision, ways: every},
		{Name: "ours gRPC", Form: load.GRPC, Ours: true, program: ours, command: openaiConnect, version: revision, ways: every},
		{Name: "ours Connect", Form: load.Connect, Ours: true, program: ours, command: openaiConnect, version: revision, ways: every},
		{Name: "ours gRPC-Web", Form: load.GRPCWeb, Ours: true, program: ours, command: openaiConnect, version: revision, ways: every},
	}
}

// Can says whether the subject can speak to the upstream so.
func (s Subject) Can(way Way) bool { return slices.Contains(s.ways, way) }

// IsDirect says that there is nothing between the client and the upstream.
func (s Subject) IsDirect() bool { return s.command == nil }

// Streams says whether the subject has streams.
func (s Subject) Streams() bool { return s.Form != load.Vanguard }

// Program returns the file of the subject's program, which it builds where it has
// to. The error of one that this machine lacks says what to install.
func (s Subject) Program(w *Workshop) (string, error) {
	if s.IsDirect() {
		return "", nil
	}
	return s.program(w)
}

// Command returns the command that starts the subject.
func (s Subject) Command(program string, site Site) (*exec.Cmd, error) {
	return s.command(program, site)
}

// Version returns the version of a subject's program.
func (s Subject) Version(program string) (string, error) {
	if s.IsDirect() {
		return "", nil
	}
	return s.version(program)
}

// installed finds a program of this machine.
func installed(name string) func(*Workshop) (string, error) {
	return func(*Workshop) (string, error) { return exec.LookPath(name) }
}

func peer(name string) func(*Workshop) (string, error) {
	return func(w *Workshop) (string, error) { return w.Build(".", "./peers/"+name) }
}

// ours is the command as `make build` makes it.
func ours(w *Workshop) (string, error) { return w.Build("../..", "./server/cmd/openai-connect") }

func openaiConnect(program string, site Site) (*exec.Cmd, error) {
	args := []string{"--listen", site.Listen, "--upstream", site.scheme() + "://" + site.Upstream, "--proxy", "none", "--log-level", "error"}
	if site.Way != Plain {
		args = append(args, "--upstream-ca", site.CA)
	}
	if site.Way == HTTP2 {
		args = append(args, "--upstream-http2")
	}
	return run(program, args...), nil
}

// goPeer starts a peer that peers/tuned is the main function of.
func goPeer(program string, site Site) (*exec.Cmd, error) {
	args := []string{"-listen", site.Listen, "-upstream", site.scheme() + "://" + site.Upstream}
	if site.Way != Plain {
		args = append(args, "-ca", site.CA)
	}
	if site.Way == HTTP2 {
		args = append(args, "-http2")
	}
	return run(program, args...), nil
}

// run returns a command that lives until it is stopped.
func run(program string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), program, args...) //nolint:gosec // what was built
}

// write writes a file that a program is configured by.
func write(file, format string, args ...any) error {
	return os.WriteFile(file, fmt.Appendf(nil, format, args...), 0o600) //nolint:gosec // the benchmark's own
}
