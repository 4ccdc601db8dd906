// Package sdk compares the typed API with the official Go SDK. The SDK validates what
// the codec writes, and calls made with the SDK through the passthrough have the same
// effect as typed calls. It is separate from package fidelity because the SDK takes
// long to compile.
package sdk
