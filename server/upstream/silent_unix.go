//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package upstream

import "syscall"

// isSilent reports whether there is nothing to read from a connection, not even
// its end. It doesn't wait.
func isSilent(raw syscall.RawConn) bool {
	silent := false
	err := raw.Read(func(fd uintptr) bool {
		var next [1]byte
		_, _, err := syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && silent
}
