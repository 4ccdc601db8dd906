package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/overload"
)

const (
	// manyUntaken is how many answers over HTTP/2 may wait for their clients to take
	// the rest, with nothing left to do here, until further ones get less time. Each
	// takes some 20 KB. It is as many as there are calls at most, by default, which may
	// all end at once.
	manyUntaken = overload.DefaultMaxCalls
	// hastyTimeout is the time that is left then.
	hastyTimeout = 10 * time.Second
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
	waiting := &c.listener.held.untaken
	if waiting.Add(1) > manyUntaken {
		limit = min(limit, hastyTimeout)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	closed := w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // nothing else tells when a stream is closed whose handler has returned
	go func() {
		<-closed
		waiting.Add(-1)
	}()
}
