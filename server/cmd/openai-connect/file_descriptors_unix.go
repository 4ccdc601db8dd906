//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import "syscall"

// maxFiles returns the limit of file descriptors of the process. The runtime has raised
// the soft limit to the hard one.
func maxFiles() (files uint64, ok bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true //nolint:unconvert // It is signed on some systems.
}
