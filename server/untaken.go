package server

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of the answers over HTTP/2 that wait for their clients to take the rest,
// with nothing left to do here. Each takes some 20 KB.
const (
	// manyUntaken is how many wait in all until they get less time.
	manyUntaken = 1000
	// mostUntaken is how many wait in all until a connection may have no more than
	// fewUntaken: what else ends on it is reset at once.
	mostUntaken = 8 * manyUntaken
	fewUntaken  = 16
	// hastyTimeout is the time that is left where there are many: enough for who
	// reads.
	hastyTimeout = 5 * time.Second
)

// held is what clients make a server hold on to.
type held struct {
	connections atomic.Int64 // that are open
	untaken     atomic.Int64 // answers over HTTP/2 whose handlers have returned
}

// await is called with the writer of an answer over HTTP/2 when its handler returns.
// From then on net/http writes what is left, and waits without a limit of its own
// until the client opens its window. So the stream gets a deadline, at which net/http
// resets it.
func (c *connection) await(w http.ResponseWriter, limit time.Duration) {
	total := &c.listener.held.untaken
	inAll, onConnection := total.Add(1), c.untaken.Add(1)
	deadline := time.Now().Add(limit)
	switch {
	case inAll > mostUntaken && onConnection > fewUntaken:
		deadline = past
	case inAll > manyUntaken:
		deadline = time.Now().Add(min(limit, hastyTimeout))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)
	closed := w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // nothing else tells when a stream is closed whose handler has returned
	go func() {
		<-closed
		total.Add(-1)
		c.untaken.Add(-1)
	}()
}
