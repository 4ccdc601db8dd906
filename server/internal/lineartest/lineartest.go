// Package lineartest checks that the time of a function is linear in the size of its
// input, for parsers of untrusted input.
package lineartest

import (
	"testing"
	"time"
)

const (
	// steps is the number of times the size is doubled. Over all steps, the time of a
	// linear function grows by 16 and the time of a quadratic one by 256.
	steps = 4
	// most is the maximum growth of the time over all steps.
	most = 80

	// floor is the minimum time for the smallest input. Shorter times depend on the
	// clock, the caches, and the garbage collector.
	floor = 300 * time.Microsecond
	// enough is the time after which a function isn't run again.
	enough = 500 * time.Millisecond

	tries    = 3
	attempts = 5
)

// Check fails the test unless the time of the functions returned by prepare is linear,
// for inputs of size bytes and a sixteenth of it. Other processes may disturb a
// measurement, so it is the best of several, and a failure is measured again.
func Check(tb testing.TB, size int, prepare func(size int) func()) {
	tb.Helper()
	large, small := prepare(size), prepare(size>>steps)
	var first, last time.Duration
	for range attempts {
		first = max(first, floor, measure(small))
		if last = measure(large); last <= most*first {
			return
		}
	}
	tb.Errorf("%d bytes take %v, and %d bytes %v, %.0f times as long: want at most %d times",
		size>>steps, first, size, last, float64(last)/float64(first), most)
}

// measure returns the shortest time of several runs. The time of a run is its CPU time if
// that is shorter than the elapsed time: only a long run is interrupted by other
// processes, so the elapsed times of short and long runs are not comparable under load.
func measure(run func()) time.Duration {
	best, sum := time.Duration(1<<63-1), time.Duration(0)
	for i := 0; i < tries && sum < enough; i++ {
		cpuStart, _ := cpuTime()
		start := time.Now()
		run()
		took := time.Since(start)
		if cpuEnd, ok := cpuTime(); ok {
			took = min(took, cpuEnd-cpuStart)
		}
		best, sum = min(best, took), sum+took
	}
	return best
}
