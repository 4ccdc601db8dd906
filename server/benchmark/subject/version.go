package subject

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// printed is what a program prints of its version.
func printed(flag string) func(program string) (string, error) {
	return func(program string) (string, error) { return firstLine(program, flag) }
}

// required is the version of a module that the benchmark's own requires.
func required(module string) func(program string) (string, error) {
	return func(string) (string, error) {
		info, _ := debug.ReadBuildInfo()
		if info == nil {
			return "", nil
		}
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version, nil
			}
		}
		// It is no part of this program, but of the peer's.
		return firstLine("go", "list", "-m", "-f", "{{.Version}}", module)
	}
}

// goVersion is that of the standard library.
func goVersion(string) (string, error) { return runtime.Version(), nil }

// revision is the commit that ours was built from, with a mark where the work
// tree had changes. It is empty outside a repository.
func revision(string) (string, error) {
	line, err := firstLine("git", "describe", "--always", "--dirty")
	if err != nil {
		return "", nil //nolint:nilerr // as said
	}
	return line, nil
}

func firstLine(name string, args ...string) (string, error) {
	output, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput() //nolint:gosec // a subject's program
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line), nil
}
