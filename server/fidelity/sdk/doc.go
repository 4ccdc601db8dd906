// Package sdk holds the tests in which the official Go SDK judges what the
// codec writes. It is apart from package fidelity because the SDK takes long to
// compile.
package sdk
