//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package upstream

import "syscall"

// connProbe is not available on this platform. A closed connection is detected when it is
// used.
type connProbe struct{}

func (connProbe) isIdle(syscall.RawConn) bool { return true }
