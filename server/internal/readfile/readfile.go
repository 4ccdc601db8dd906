// Package readfile reads configuration files within bounds of size and time.
//
// A file may be a named pipe without a writer. Reading it with [os.ReadFile] would block
// forever.
package readfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Timeout is the usual timeout of [Read].
const Timeout = 3 * time.Second

// ErrTooLong reports a file that is longer than allowed.
var ErrTooLong = errors.New("the file is longer than allowed")

// lengthError is the error of a file longer than this number of bytes.
type lengthError int

// Error implements error.
func (l lengthError) Error() string {
	if l%(1<<20) == 0 {
		return fmt.Sprintf("it is longer than %d MiB", l>>20)
	}
	return fmt.Sprintf("it is longer than %d bytes", int(l))
}

// Is reports whether target is [ErrTooLong].
func (l lengthError) Is(target error) bool { return target == ErrTooLong }

// pollInterval is the delay between reads of a pipe without a writer.
const pollInterval = 10 * time.Millisecond

// Read returns the contents of a file, of at most limit bytes. The error is a
// [*os.PathError]. It wraps [ErrTooLong] for a longer file, and
// [os.ErrDeadlineExceeded] for a pipe or a device that does not end within timeout.
//
// A file system that does not answer, such as a lost network mount, still blocks
// Read: the operating system offers no way to interrupt that.
func Read(path string, limit int, timeout time.Duration) ([]byte, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // opened for reading only
	deadline := time.Now().Add(timeout)
	_ = file.SetReadDeadline(deadline) // Regular files do not support deadlines and do not need one.
	var text bytes.Buffer
	for {
		_, err = text.ReadFrom(io.LimitReader(file, int64(limit)+1-int64(text.Len())))
		if err != nil || text.Len() > 0 || !isPipe(file) {
			break
		}
		// A pipe that nobody has opened for writing reads as empty.
		if time.Now().After(deadline) {
			err = os.ErrDeadlineExceeded
			break
		}
		time.Sleep(pollInterval)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("the file did not end within %v: %w", timeout, os.ErrDeadlineExceeded)}
	case err != nil:
		return nil, err
	case text.Len() > limit:
		return nil, &os.PathError{Op: "read", Path: path, Err: lengthError(limit)}
	}
	return text.Bytes(), nil
}

func isPipe(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
