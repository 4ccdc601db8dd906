//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lineartest

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time of the process. Unlike the elapsed time, it does not
// include the time of other processes.
func cpuTime() (time.Duration, bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
