package clients

import (
	"errors"
	"os"
	"path/filepath"
)

// ownerOnly is the mode of a new file.
const ownerOnly = 0o600

// writeAtomically creates or replaces a file. Readers see either the old or the new
// content. An existing file keeps its mode and owner.
func writeAtomically(path string, content []byte) (err error) {
	previous, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".clients-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = write(file, content, previous)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// write writes a new file, and copies the mode and the owner of the previous one unless
// that is nil.
func write(file *os.File, content []byte, previous os.FileInfo) error {
	mode := os.FileMode(ownerOnly)
	if previous != nil {
		mode = previous.Mode().Perm()
		if err := copyOwner(file, previous); err != nil {
			return err
		}
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Sync()
}
