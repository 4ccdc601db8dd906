package contender

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Builder builds each program of this repository once, so that edits during a run have no
// effect.
type Builder struct {
	ctx    context.Context //nolint:containedctx // of the whole run
	module string
	dir    string
	built  map[string]string
}

// NewBuilder returns a builder. module is the directory of the benchmark's module, and dir
// the directory of the built programs.
func NewBuilder(ctx context.Context, module, dir string) *Builder {
	return &Builder{ctx, module, dir, make(map[string]string)}
}

// Build builds a command with the flags of a release and returns its path. module is
// relative to the benchmark's module.
func (b *Builder) Build(module, command string) (string, error) {
	if file, found := b.built[command]; found {
		return file, nil
	}
	file := filepath.Join(b.dir, path.Base(command))
	build := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, command) //nolint:gosec // in this repository
	build.Dir = filepath.Join(b.module, module)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, output)
	}
	b.built[command] = file
	return file, nil
}
