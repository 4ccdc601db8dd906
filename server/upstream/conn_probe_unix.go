//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package upstream

import "syscall"

// connProbe checks whether a connection has data to read. Each connection has its own,
// because it is probed before every request and a probe must not allocate.
type connProbe struct {
	peek func(fd uintptr)
	buf  [1]byte
	idle bool
}

// isIdle reports whether there is nothing to read, not even the end of the connection. It
// doesn't block.
func (p *connProbe) isIdle(raw syscall.RawConn) bool {
	if p.peek == nil {
		p.peek = func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			p.idle = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		}
	}
	p.idle = false
	return raw.Control(p.peek) == nil && p.idle
}
