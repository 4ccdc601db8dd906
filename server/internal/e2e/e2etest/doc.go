// Package e2etest holds what the end-to-end tests share: servers in every
// configuration, clients of every protocol, and scripted upstreams.
//
// A typical test starts an upstream that follows scripts ([ServeScripts]), a
// server in front of it ([StartServer]), and makes the same call with each of
// [ClientKinds] or [LibraryClients].
package e2etest
