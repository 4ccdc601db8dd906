//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package keys

import (
	"fmt"
	"os"
	"syscall"
)

// lock waits until nobody else edits a file in a folder, and returns what ends
// that. The folder is locked, as a file is another one when it has been edited.
func lock(folder string) (unlock func(), err error) {
	directory, err := os.Open(folder) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(directory.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR { //nolint:errorlint // It is what a system call returns.
			break
		}
	}
	if err != nil {
		_ = directory.Close()
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	return func() { _ = directory.Close() }, nil // Which unlocks it.
}

// keepOwner gives a file the owner of another one.
func keepOwner(file *os.File, other os.FileInfo) error {
	owner, ok := other.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if own, ok := info.Sys().(*syscall.Stat_t); ok && own.Uid == owner.Uid && own.Gid == owner.Gid {
		return nil
	}
	if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("the file belongs to another user or group: edit it as that one: %w", err)
	}
	return nil
}
