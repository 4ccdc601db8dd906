//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

// maxFiles returns false: the system has no such limit.
func maxFiles() (files uint64, ok bool) { return 0, false }
