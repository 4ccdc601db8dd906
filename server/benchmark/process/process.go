// Package process starts a program and measures the CPU time and memory of the process and
// its descendants. It reads /proc and requires Linux.
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

// timeout is the maximum time for a program to start or to stop.
const timeout = 20 * time.Second

// Process is a running program with its child processes.
type Process struct {
	command *exec.Cmd
	output  *tail
	ended   chan struct{}
}

// Start starts a program restricted to cores, or to none if cores is nil.
func Start(command *exec.Cmd, cores []int) (*Process, error) {
	p := &Process{command: command, output: new(tail), ended: make(chan struct{})}
	command.Stdout, command.Stderr = p.output, p.output
	// Stop kills the process group. The process is also killed when the benchmark exits.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := onCores(cores, command.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	go func() {
		_ = command.Wait() // The output is more useful than the exit status.
		close(p.ended)
	}()
	return p, nil
}

// WaitUntilListening waits until the process accepts connections.
func (p *Process) WaitUntilListening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-p.ended:
			return p.failure("exited before listening")
		case <-ctx.Done():
			return p.failure("is not listening on " + address)
		case <-time.After(200 * time.Microsecond):
		}
	}
}

func (p *Process) failure(what string) error {
	return fmt.Errorf("%s %s; output: %s", filepath.Base(p.command.Path), what, p.output)
}

// Output returns the end of the output of the process and its children.
func (p *Process) Output() string { return p.output.String() }

// Signal sends a signal to the process, but not to its children.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Stop stops the process and its children, and waits for their exit.
func (p *Process) Stop() error {
	group := -p.command.Process.Pid
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(time.Second): // Do not wait for open connections.
	}
	if err := syscall.Kill(group, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(timeout):
		return p.failure("does not exit")
	}
}

// CPU returns the user and system CPU time of the process and its children, with a
// resolution of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	tree, err := p.tree()
	var ticks int64
	for _, member := range tree {
		ticks += member.ticks
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, err
}

// Memory returns the resident memory of the process and its children in bytes. It is the
// sum of their proportional set sizes (PSS), which count shared memory once.
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

// ticksPerSecond is the unit of times in /proc. It is 100 on all platforms that Go
// supports (`getconf CLK_TCK`).
const ticksPerSecond = 100

// stat holds fields of /proc/PID/stat, see proc_pid_stat(5).
type stat struct {
	pid, parent int
	ticks       int64 // utime and stime
}

// parseStat parses /proc/PID/stat. The name in its second field may contain spaces and
// parentheses.
func parseStat(text []byte) (stat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("missing name in %q", text)
	}
	fields := strings.Fields(string(text[end+1:])) // starting from the third
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("too few fields in %q", text)
	}
	pid, pidErr := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	parent, parentErr := strconv.Atoi(fields[1])
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return stat{pid, parent, user + system}, errors.Join(pidErr, parentErr, userErr, systemErr)
}

// parsePSS returns the PSS in /proc/PID/smaps_rollup in bytes.
func parsePSS(text []byte) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "Pss:"); found {
			number, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if unit != "kB" {
				return 0, fmt.Errorf("unknown unit in %q: want kB", line)
			}
			kilobytes, err := strconv.ParseInt(number, 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("missing Pss in smaps_rollup")
}

// tree returns the process and its descendants.
func (p *Process) tree() ([]stat, error) {
	root := p.command.Process.Pid
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]stat)
	var found []stat
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // matches the pattern
		if err != nil {
			continue // The process has exited.
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
		return nil, p.failure("has exited")
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}
