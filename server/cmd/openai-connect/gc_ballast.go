package main

import "os"

// ballastBytes is how much garbage, in bytes, comes together before it is
// collected, and with it how much memory the server takes for a little speed.
const ballastBytes = 32 << 20

// newGCBallast returns memory to be held on to while the server runs. The
// heap of a proxy is tiny, so that by Go's own rule, to let it grow to the double,
// it would be collected dozens of times a second, at an eighth of all processor
// time. What is held counts as heap for that rule, but as it is never written to
// the system gives no memory for it. Whoever sets GOGC or GOMEMLIMIT has a rule of
// their own.
func newGCBallast() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, ballastBytes)
}
