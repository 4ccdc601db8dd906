//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package readfile

import "os"

func open(path string) (*os.File, error) { return os.Open(path) }
