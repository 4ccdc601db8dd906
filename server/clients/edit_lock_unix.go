//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package clients

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockInterval is how often a held lock is tried again.
const lockInterval = 20 * time.Millisecond

// lock waits until no other process edits files in a directory, and returns a function
// that releases the lock. It gives up after timeout.
func lock(dir string, timeout time.Duration) (unlock func(), err error) {
	path := filepath.Join(dir, lockName)
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockInterval) {
		file, err := tryLock(path)
		switch {
		case err == nil:
			return func() { _ = errors.Join(os.Remove(path), file.Close()) }, nil // Close releases the lock.
		case errors.Is(err, os.ErrPermission) && exists(path), errors.Is(err, syscall.ELOOP):
			return nil, fmt.Errorf("%w: the lock belongs to another user: edit the clients as that user, or remove the lock if no process is editing them", err)
		case !errors.Is(err, errLocked):
			return nil, err
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s: %w: try again later", path, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// errLocked is the error of a lock that another process holds.
var errLocked = errors.New("another process is editing the clients")

// tryLock creates the lock file, if it is missing, and locks it. A process that releases
// the lock also removes the file, so the locked file must still be the one at path.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, ownerOnly) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		var locked, current os.FileInfo
		if locked, err = file.Stat(); err == nil {
			current, err = os.Lstat(path)
		}
		if err == nil && os.SameFile(locked, current) {
			return file, nil
		}
	}
	_ = file.Close()
	switch {
	case err == nil, errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR), errors.Is(err, os.ErrNotExist):
		return nil, errLocked
	default:
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}

// copyOwner gives a file the owner of another one.
func copyOwner(file *os.File, other os.FileInfo) error {
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
		return fmt.Errorf("the file belongs to another user or group: edit it as that user: %w", err)
	}
	return nil
}
