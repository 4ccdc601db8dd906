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

// lockName is the file that is locked while a file of tokens in the same folder is
// edited. Only its owner can open it: a lock of the folder, or of the file of
// tokens, could be held by everyone who may read them.
const lockName = ".keys.lock"

// lockInterval is how often a lock that is held is tried again.
const lockInterval = 20 * time.Millisecond

// lock waits until nobody else edits a file in a folder, and returns what ends
// that. It gives up after timeout.
func lock(folder string, timeout time.Duration) (unlock func(), err error) {
	path := filepath.Join(folder, lockName)
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockInterval) {
		file, err := tryLock(path)
		switch {
		case err == nil:
			return func() { _ = errors.Join(os.Remove(path), file.Close()) }, nil // To close the file ends the lock.
		case errors.Is(err, os.ErrPermission) && exists(path), errors.Is(err, syscall.ELOOP):
			return nil, fmt.Errorf("%w: the lock belongs to another user: edit the tokens as that user, or remove the lock if nobody edits them", err)
		case !errors.Is(err, errLocked):
			return nil, err
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s: %w: try again when it has ended", path, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// errLocked is the error of a lock that another process holds.
var errLocked = errors.New("another process edits the tokens")

// tryLock creates the file, if it isn't there, and locks it. A process that held
// the lock has removed the file: then the next one has to be locked.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, ownerOnly) //nolint:gosec // The operator names it.
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		var locked, there os.FileInfo
		if locked, err = file.Stat(); err == nil {
			there, err = os.Lstat(path)
		}
		if err == nil && os.SameFile(locked, there) {
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
