// Package sdk holds the tests in which the official Go SDK is the other hand: it
// judges what the codec writes, and makes the calls that the typed API makes,
// through the passthrough, to the same effect. It is apart from package fidelity
// because the SDK takes long to compile.
package sdk
