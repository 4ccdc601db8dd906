package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/contender"
	"github.com/openai-connect/openai-connect/server/benchmark/process"
)

// setup is a newly started contender with an upstream.
type setup struct {
	upstream  *process.Process
	contender *process.Process // nil for direct
	address   string           // for clients
	started   time.Time        // of the contender
	dir       string
}

// startSetup starts an upstream and a contender.
func (b *benchmark) startSetup(ctx context.Context, m measure, c candidate) (*setup, error) {
	dir, err := os.MkdirTemp(b.dir, "setup-")
	if err != nil {
		return nil, err
	}
	s := &setup{dir: dir}
	if err := b.startProcesses(ctx, s, m, c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (b *benchmark) startProcesses(ctx context.Context, s *setup, m measure, c candidate) error {
	upstream, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	args := []string{"-listen", upstream}
	if m.upstreamProtocol != contender.Plain {
		args = append(args, "-certificate", b.certificate, "-key", b.key)
	}
	if m.upstreamProtocol == contender.HTTP2 {
		args = append(args, "-http2")
	}
	s.upstream, err = process.Start(exec.CommandContext(context.WithoutCancel(ctx), b.upstream, args...), b.loadCores) //nolint:gosec // built by the benchmark
	if err != nil {
		return err
	}
	if err := s.upstream.WaitUntilListening(ctx, upstream); err != nil {
		return err
	}
	if s.address = upstream; c.IsDirect() {
		return nil
	}

	if s.address, err = freeAddress(ctx); err != nil {
		return err
	}
	command, err := c.Command(c.program, contender.Settings{
		Listen: s.address, Upstream: upstream, UpstreamProtocol: m.upstreamProtocol, CA: b.certificate,
		Dir: s.dir, Cores: b.contenderCores(), Streams: max(m.Streams, callers),
	})
	if err != nil {
		return err
	}
	s.started = time.Now()
	if s.contender, err = process.Start(command, b.measuredCores); err != nil {
		return err
	}
	return s.contender.WaitUntilListening(ctx, s.address)
}

// close stops both processes. It ignores errors, because the next setup would fail too.
func (s *setup) close() {
	for _, started := range []*process.Process{s.contender, s.upstream} {
		if started != nil {
			_ = started.Stop()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// cpu returns the CPU time used by the contender.
func (s *setup) cpu() (time.Duration, error) {
	if s.contender == nil {
		return 0, nil
	}
	return s.contender.CPU()
}

// memory returns the memory used by the contender.
func (s *setup) memory() (int64, error) {
	if s.contender == nil {
		return 0, nil
	}
	return s.contender.Memory()
}

// withOutput adds the contender's output to an error of a client.
func (s *setup) withOutput(err error) error {
	if s.contender == nil {
		return err
	}
	return fmt.Errorf("%w; output: %s", err, s.contender.Output())
}

// freeAddress returns an unused loopback address.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
