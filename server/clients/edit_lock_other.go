//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package clients

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lock creates a lock file in a directory and returns a function that removes it.
func lock(dir string, _ time.Duration) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, ownerOnly)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s: another process is editing the clients: try again, or remove the lock if no process is", path)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = errors.Join(file.Close(), os.Remove(path)) }, nil
}

// copyOwner does nothing, as the directory determines the owner of a file.
func copyOwner(*os.File, os.FileInfo) error { return nil }
