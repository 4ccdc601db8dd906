// Package process starts a program for the benchmark and reads from the
// operating system's accounts what it costs, with all its children and nothing
// else. It reads Linux's /proc, and works nowhere else.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a program may take to start, and to end.
const patience = 20 * time.Second

// Process is a program that runs, with its children.
type Process struct {
	command *exec.Cmd
	output  *tail
	ended   chan struct{}
}

// Start starts a program on some of the cores, none for any.
func Start(command *exec.Cmd, cores []int) (*Process, error) {
	p := &Process{command: command, output: new(tail), ended: make(chan struct{})}
	command.Stdout, command.Stderr = p.output, p.output
	// A group of its own, which Stop ends, and which ends with the benchmark.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := onCores(cores, command.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	go func() {
		_ = command.Wait() // What it printed says more than its status.
		close(p.ended)
	}()
	return p, nil
}

// Listening waits until the process takes connections at the address.
func (p *Process) Listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-p.ended:
			return p.failure("ended before it listened")
		case <-ctx.Done():
			return p.failure("does not listen at " + address)
		case <-time.After(200 * time.Microsecond):
		}
	}
}

func (p *Process) failure(what string) error {
	return fmt.Errorf("%s %s; it printed: %s", filepath.Base(p.command.Path), what, p.output)
}

// Output is the last of what the process and its children printed.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal to the process alone.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Stop ends the process and its children, and waits for that.
func (p *Process) Stop() error {
	group := -p.command.Process.Pid
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(time.Second): // Open connections are no reason to wait.
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return p.failure("does not end")
	}
}

// CPU is the processor time that the process and its children have taken, in
// user and in kernel mode, to a hundredth of a second.
func (p *Process) CPU() (time.Duration, error) {
	tree, err := p.tree()
	var ticks int64
	for _, member := range tree {
		ticks += member.ticks
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, err
}

// Memory is the memory that the process and its children have resident, in
// bytes: the sum of their PSS, in which what several share counts once.
func (p *Process) Memory() (int64, error) {
	tree, err := p.tree()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, member := range tree {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", member.pid))
		if err != nil {
			return 0, err
		}
		pss, err := parsePSS(text)
		if err != nil {
			return 0, err
		}
		sum += pss
	}
	return sum, nil
}

// ticksPerSecond is the unit of times in /proc. The kernel's interface fixes it
// at 100 on every platform that Go runs on (`getconf CLK_TCK`).
const ticksPerSecond = 100

// stat is what is read of /proc/PID/stat; proc_pid_stat(5) has its fields.
type stat struct {
	pid, parent int
	ticks       int64 // utime and stime
}

// parseStat reads /proc/PID/stat. The name in its second field may hold spaces
// and parentheses.
func parseStat(text []byte) (stat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no name in %q", text)
	}
	fields := strings.Fields(string(text[end+1:])) // from the third on
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("too few fields in %q", text)
	}
	pid, pidErr := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	parent, parentErr := strconv.Atoi(fields[1])
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return stat{pid, parent, user + system}, errors.Join(pidErr, parentErr, userErr, systemErr)
}

// parsePSS reads the PSS of /proc/PID/smaps_rollup, in bytes.
func parsePSS(text []byte) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "Pss:"); found {
			number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if unit != "kB" {
				return 0, fmt.Errorf("an unknown unit in %q", line)
			}
			kilobytes, err := strconv.ParseInt(number, 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("no Pss in smaps_rollup")
}

// tree is the process and its descendants.
func (p *Process) tree() ([]stat, error) {
	root := p.command.Process.Pid
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]stat)
	var found []stat
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // by the pattern
		if err != nil {
			continue // It ended since.
		}
		process, err := parseStat(text)
		if err != nil {
			return nil, err
		}
		if process.pid == root {
			found = append(found, process)
		}
		children[process.parent] = append(children[process.parent], process)
	}
	if len(found) == 0 {
		return nil, p.failure("has ended")
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}
