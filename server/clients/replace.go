package clients

import (
	"errors"
	"os"
	"path/filepath"
)

// ownerOnly is the mode of a new file.
const ownerOnly = 0o600

// replace writes a file at once: whoever reads it sees what was, or what is. It
// keeps its mode and its owner.
func replace(path string, text []byte) (err error) {
	before, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".keys-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = write(file, text, before)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// write fills a new file, and gives it the mode and the owner of another one,
// unless that is nil.
func write(file *os.File, text []byte, before os.FileInfo) error {
	mode := os.FileMode(ownerOnly)
	if before != nil {
		mode = before.Mode().Perm()
		if err := keepOwner(file, before); err != nil {
			return err
		}
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}
