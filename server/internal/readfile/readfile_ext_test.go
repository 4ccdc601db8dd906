//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package readfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writer opens a pipe for writing, whether or not somebody reads it.
func writer(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestRead_ReturnsTheContentsOfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{"", "a", strings.Repeat("a", 1000)} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readfile.Read(path, 1000, patience); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestRead_RefusesALongerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1001), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, "/dev/zero"} {
		got, err := readfile.Read(path, 1000, patience)
		if at, ok := errors.AsType[*os.PathError](err); !ok || at.Path != path || !errors.Is(err, readfile.ErrTooLong) || got != nil {
			t.Errorf("%s: got %d bytes, %v", path, len(got), err)
		}
	}
}

func TestRead_GivesUpOnAPipeThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(path string){
		"without a writer":             func(string) {},
		"with a writer that is silent": func(path string) { writer(t, path) },
		"with a writer that pauses": func(path string) {
			if _, err := writer(t, path).WriteString("clients:\n"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := pipe(t)
			prepare(path)
			got, err := readfile.Read(path, 1000, 50*time.Millisecond)
			if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), path) || got != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestRead_WaitsForTheWriterOfAPipe(t *testing.T) {
	t.Parallel()
	path := pipe(t)
	written := make(chan error, 1)
	go func() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // It returns when somebody reads.
		if err == nil {
			_, err = file.WriteString("a key")
			err = errors.Join(err, file.Close())
		}
		written <- err
	}()
	got, err := readfile.Read(path, 1000, patience)
	if err != nil || string(got) != "a key" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestRead_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	if _, err := readfile.Read(filepath.Join(t.TempDir(), "none"), 1000, patience); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for a missing file", err)
	}
	if _, err := readfile.Read(t.TempDir(), 1000, patience); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("got %v for a folder", err)
	}
}
