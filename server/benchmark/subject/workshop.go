package subject

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Workshop builds programs from this repository, into a directory of its own, so
// that an edit meanwhile changes nothing. Each is built once.
type Workshop struct {
	ctx    context.Context //nolint:containedctx // of the whole run
	module string
	dir    string
	built  map[string]string
}

// NewWorkshop returns a workshop for the module of the benchmark in that folder,
// which builds into dir.
func NewWorkshop(ctx context.Context, module, dir string) *Workshop {
	return &Workshop{ctx, module, dir, make(map[string]string)}
}

// Build builds a command of the module in a folder, relative to the benchmark's,
// as releases are built, and returns its file.
func (w *Workshop) Build(module, command string) (string, error) {
	if file, found := w.built[command]; found {
		return file, nil
	}
	file := filepath.Join(w.dir, path.Base(command))
	build := exec.CommandContext(w.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, command) //nolint:gosec // our own
	build.Dir = filepath.Join(w.module, module)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, output)
	}
	w.built[command] = file
	return file, nil
}
