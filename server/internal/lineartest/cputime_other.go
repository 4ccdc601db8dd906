//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package lineartest

import "time"

// cpuTime returns false: the CPU time is not available.
func cpuTime() (time.Duration, bool) { return 0, false }
