// Package soak holds a long test of the whole product under mixed load: typed and raw
// requests, streams, uploads, WebSockets, disconnecting clients, a failing upstream, a
// restarting Redis, and a changing clients file. Two instances of the built command
// share Redis and the clients file.
//
// Every request is accounted for: it succeeded or failed for an expected reason, and
// the servers' metrics agree. Afterwards no goroutines, connections, file descriptors,
// or memory are left. No key appears in any output of the servers.
//
// The test takes seconds by default. For an hour:
//
//	OPENAI_CONNECT_SOAK=1h go test -timeout 0 -v -run TestSoak ./server/soak
package soak
