package main

import "os"

// ballastBytes is roughly how much memory is allocated between garbage collections.
const ballastBytes = 32 << 20

// newGCBallast returns a large allocation to keep alive while the server runs. The garbage
// collector runs whenever the heap has doubled. With a proxy's tiny heap, that is dozens of
// times per second and takes an eighth of the CPU time. The ballast enlarges the heap, so
// the collector runs less often. It is never written to, so it occupies no physical memory.
// newGCBallast returns nil if GOGC or GOMEMLIMIT is set.
func newGCBallast() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, ballastBytes)
}
