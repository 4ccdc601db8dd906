//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package readfile

import (
	"os"
	"syscall"
)

// open opens a file for reading. It does not wait for the writer of a pipe, and a
// pipe has read deadlines.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
