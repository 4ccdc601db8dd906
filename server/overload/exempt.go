package overload

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// exempt bounds the requests that don't count as calls. They are short, but for those
// that watch something, and those whose client takes nothing of the answer. A
// connection that has the most of them gives way to one that has fewer, so that no
// client can take them all.
type exempt struct {
	inAll, onConnection int

	mu    sync.Mutex
	open  map[any][]*exemptCall // guarded by mu: by connection, in their order
	count int                   // guarded by mu
}

// exemptCall is a request that doesn't count.
type exemptCall struct {
	connection any
	writer     http.ResponseWriter

	mu    sync.Mutex
	ended bool // guarded by mu
}

// enter lets a request in, unless there are too many. What it returns is called at
// its end.
func (e *exempt) enter(w http.ResponseWriter, connection any) (leave func(), ok bool) {
	c := &exemptCall{connection: connection, writer: w}
	victim, ok := e.add(c)
	if victim != nil {
		victim.cut()
	}
	return func() { e.leave(c) }, ok
}

// add adds a request, unless there are too many. It returns one that has to end for
// it, nil for none.
func (e *exempt) add(c *exemptCall) (victim *exemptCall, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := len(e.open[c.connection])
	if own >= e.onConnection {
		return nil, false
	}
	if e.count >= e.inAll {
		var most []*exemptCall
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

// leave is told that a request has ended.
func (e *exempt) leave(c *exemptCall) {
	e.mu.Lock()
	e.removeLocked(c)
	e.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

func (e *exempt) removeLocked(c *exemptCall) {
	calls := e.open[c.connection]
	at := slices.Index(calls, c)
	if at < 0 {
		return // it had to give way
	}
	e.count--
	if len(calls) == 1 {
		delete(e.open, c.connection)
		return
	}
	e.open[c.connection] = slices.Delete(calls, at, at+1)
}

// len is how many there are.
func (e *exempt) len() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count
}

// cut resets the stream of a request, whatever it waits for.
func (c *exemptCall) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = http.NewResponseController(c.writer).SetWriteDeadline(time.Unix(1, 0))
	}
}
