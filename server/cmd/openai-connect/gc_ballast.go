package main

import "os"

// ballastBytes is the amount of garbage between collections.
const ballastBytes = 32 << 20

// newGCBallast returns memory to keep while the server runs. It counts as heap, so the
// collector, which runs when the heap has doubled, runs less often: with a proxy's tiny
// heap it would run dozens of times per second and take an eighth of the CPU time. The
// memory is never written to, so the system does not allocate it. It is nil if GOGC or
// GOMEMLIMIT is set.
func newGCBallast() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, ballastBytes)
}
