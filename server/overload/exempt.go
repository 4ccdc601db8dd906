package overload

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// exempt limits exempt requests. Most are short, but some watch for changes, and some
// clients do not read the response. The connection with the most requests loses one to a
// connection with fewer, so that no client can use all slots.
type exempt struct {
	max, maxOnConnection int

	mu    sync.Mutex
	open  map[any][]*exemptRequest // guarded by mu: by connection, oldest first
	count int                      // guarded by mu
}

// exemptRequest is an exempt request in progress.
type exemptRequest struct {
	connection any
	writer     http.ResponseWriter

	mu    sync.Mutex
	ended bool // guarded by mu
}

// acquire admits a request, unless there are too many. The caller must call release at
// its end.
func (e *exempt) acquire(w http.ResponseWriter, connection any) (release func(), ok bool) {
	c := &exemptRequest{connection: connection, writer: w}
	victim, ok := e.add(c)
	if victim != nil {
		victim.reset()
	}
	return func() { e.release(c) }, ok
}

// add adds a request, unless there are too many. It returns the request that must end
// for it, or nil.
func (e *exempt) add(c *exemptRequest) (victim *exemptRequest, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := len(e.open[c.connection])
	if own >= e.maxOnConnection {
		return nil, false
	}
	if e.count >= e.max {
		var most []*exemptRequest
		for _, calls := range e.open {
			if len(calls) > len(most) {
				most = calls
			}
		}
		if len(most) <= own+1 {
			return nil, false
		}
		victim = most[0]
		e.removeLocked(victim)
	}
	e.open[c.connection] = append(e.open[c.connection], c)
	e.count++
	return victim, true
}

// release removes a request that has ended.
func (e *exempt) release(c *exemptRequest) {
	e.mu.Lock()
	e.removeLocked(c)
	e.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

func (e *exempt) removeLocked(c *exemptRequest) {
	calls := e.open[c.connection]
	at := slices.Index(calls, c)
	if at < 0 {
		return // it lost its place
	}
	e.count--
	if len(calls) == 1 {
		delete(e.open, c.connection)
		return
	}
	e.open[c.connection] = slices.Delete(calls, at, at+1)
}

// len returns the number of requests.
func (e *exempt) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

// reset resets the stream of a request.
func (c *exemptRequest) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = http.NewResponseController(c.writer).SetWriteDeadline(time.Unix(1, 0))
	}
}
