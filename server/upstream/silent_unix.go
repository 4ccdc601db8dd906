//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package upstream

import "syscall"

// silence looks whether there is something to read from a connection. It is kept
// with the connection, as it is asked before every request.
type silence struct {
	look  func(fd uintptr)
	next  [1]byte
	found bool
}

// of reports whether there is nothing to read, not even the connection's end. It
// doesn't wait.
func (s *silence) of(raw syscall.RawConn) bool {
	if s.look == nil {
		s.look = func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), s.next[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			s.found = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		}
	}
	s.found = false
	return raw.Control(s.look) == nil && s.found
}
