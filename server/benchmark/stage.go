package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/process"
	"github.com/openai-connect/openai-connect/server/benchmark/subject"
)

// stage is a subject before an upstream, both fresh.
type stage struct {
	upstream *process.Process
	subject  *process.Process // nil where there is none between
	address  string           // where clients go
	begun    time.Time        // when the subject was started
	dir      string
}

// open starts an upstream and a subject.
func (b *benchmark) open(ctx context.Context, m measure, c candidate) (*stage, error) {
	dir, err := os.MkdirTemp(b.dir, "stage-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir}
	if err := b.fill(ctx, s, m, c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (b *benchmark) fill(ctx context.Context, s *stage, m measure, c candidate) error {
	upstream, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	args := []string{"-listen", upstream}
	if m.way != subject.Plain {
		args = append(args, "-certificate", b.certificate, "-key", b.key)
	}
	if m.way == subject.HTTP2 {
		args = append(args, "-http2")
	}
	s.upstream, err = process.Start(exec.CommandContext(context.WithoutCancel(ctx), b.upstream, args...), b.loadCores) //nolint:gosec // what was built
	if err != nil {
		return err
	}
	if err := s.upstream.Listening(ctx, upstream); err != nil {
		return err
	}
	if s.address = upstream; c.IsDirect() {
		return nil
	}

	if s.address, err = freeAddress(ctx); err != nil {
		return err
	}
	command, err := c.Command(c.program, subject.Site{
		Listen: s.address, Upstream: upstream, Way: m.way, CA: b.certificate,
		Dir: s.dir, Cores: b.subjectCores(), Streams: max(m.Streams, callers),
	})
	if err != nil {
		return err
	}
	s.begun = time.Now()
	if s.subject, err = process.Start(command, b.measuredCores); err != nil {
		return err
	}
	return s.subject.Listening(ctx, s.address)
}

// close ends both. Of what fails here the next stage would tell.
func (s *stage) close() {
	for _, started := range []*process.Process{s.subject, s.upstream} {
		if started != nil {
			_ = started.Stop()
		}
	}
	_ = os.RemoveAll(s.dir)
}

// cpu is the processor time of the subject.
func (s *stage) cpu() (time.Duration, error) {
	if s.subject == nil {
		return 0, nil
	}
	return s.subject.CPU()
}

// memory is the memory of the subject.
func (s *stage) memory() (int64, error) {
	if s.subject == nil {
		return 0, nil
	}
	return s.subject.Memory()
}

// explain adds what the subject printed to an error of a client.
func (s *stage) explain(err error) error {
	if s.subject == nil {
		return err
	}
	return fmt.Errorf("%w; it printed: %s", err, s.subject.Output())
}

// freeAddress returns an address of this machine that nobody listens at.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
