// Package soak holds the test that runs the whole product for long, under
// everything at once: both ways in, streams, uploads, WebSockets, callers who
// leave, an upstream that breaks, a Redis that dies, keys that change. Two
// instances of the built command share a Redis and a file of keys.
//
// Every request is accounted for: it succeeded, or it failed with the reason that
// was to be expected, and the servers' own counts say the same. In the end nothing
// is left: goroutines, connections, file descriptors, memory. And of the keys that
// were used none is in anything that the servers wrote.
//
// Without more it takes seconds. For an hour:
//
//	OPENAI_CONNECT_SOAK=1h go test -timeout 0 -v -run TestSoak ./server/soak
package soak
