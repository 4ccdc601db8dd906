//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package clients

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lock makes a file that says that a folder's are edited, and returns what ends
// that.
func lock(folder string, _ time.Duration) (unlock func(), err error) {
	path := filepath.Join(folder, ".keys.lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, ownerOnly)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s says that somebody edits the clients: try again, or remove it if nobody does", path)
	}
	if err != nil {
		return nil, err
	}
	return func() { _ = errors.Join(file.Close(), os.Remove(path)) }, nil
}

// keepOwner does nothing: a file has the owner that its folder gives it.
func keepOwner(*os.File, os.FileInfo) error { return nil }
