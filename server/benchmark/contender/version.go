package contender

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// versionFlag returns the version that a program prints.
func versionFlag(flag string) func(program string) (string, error) {
	return func(program string) (string, error) { return firstLine(program, flag) }
}

// moduleVersion returns the version of a module that the benchmark requires.
func moduleVersion(module string) func(program string) (string, error) {
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
		// The module is a dependency of a baseline only.
		return firstLine("go", "list", "-m", "-f", "{{.Version}}", module)
	}
}

// goVersion returns the version of the standard library.
func goVersion(string) (string, error) { return runtime.Version(), nil }

// revision returns the current commit, with a suffix if the work tree has changes. It is
// empty outside of a repository.
func revision(string) (string, error) {
	line, err := firstLine("git", "describe", "--always", "--dirty")
	if err != nil {
		return "", nil //nolint:nilerr // not in a repository
	}
	return line, nil
}

func firstLine(name string, args ...string) (string, error) {
	output, err := exec.CommandContext(context.Background(), name, args...).CombinedOutput() //nolint:gosec // a contender's program
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(line), nil
}
