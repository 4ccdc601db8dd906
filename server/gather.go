package server

import (
	"net"
	"net/http"
	"runtime"
	"sync"
)

// maxUnsent is how many bytes are gathered until whoever writes more has to wait.
// As many again may be in the write that is under way.
const maxUnsent = 32 << 10

// gathering sends what is written to a connection of HTTP/2 at a time in one
// write. net/http writes each frame by itself as soon as it is there: three to an
// answer of gRPC's, and one to an event, for each of the streams. A write is a
// system call, and most of what a small frame costs. So a goroutine sends what
// there is once those have had their turn that were about to write. Nothing waits
// for time to pass.
//
// A write that fails is told of by the next one. The zero value is of no use.
type gathering struct {
	write func(p []byte) (int, error) // to the connection

	mu      sync.Mutex
	changed sync.Cond // there is less to send, or refusal is there
	unsent  *[]byte   // guarded by mu; nil for nothing
	sending bool      // guarded by mu: a goroutine is at it
	refusal error     // guarded by mu: what further writes are told
	behind  []func()  // guarded by mu: what is to be done when all is sent
}

func newGathering(write func(p []byte) (int, error)) *gathering {
	g := &gathering{write: write}
	g.changed.L = &g.mu
	return g
}

// gatherFrames returns a handler that has connections of HTTP/2 gather what is
// written, from their first request on: before that there is little to gather,
// and who floods a connection with frames that are no requests is held back by
// each write. Those of HTTP/1.1, where an answer is one write already, don't.
func gatherFrames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
				c.gather()
			}
		}
		next.ServeHTTP(w, r)
	})
}

// batches has the memory that is gathered in, which a connection holds only for
// as long as there is something to send.
var batches = sync.Pool{New: func() any { return new([]byte) }}

// Write implements [io.Writer]. It returns before p is sent.
func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.refusal == nil && g.unsent != nil && len(*g.unsent)+len(p) > maxUnsent {
		g.changed.Wait()
	}
	if g.refusal != nil {
		return 0, g.refusal
	}
	if g.unsent == nil {
		g.unsent = batches.Get().(*[]byte)
	}
	*g.unsent = append(*g.unsent, p...)
	if !g.sending {
		g.sending = true
		go g.send()
	}
	return len(p), nil
}

// send sends what was gathered, and what comes meanwhile.
func (g *gathering) send() {
	runtime.Gosched() // to those that are about to write
	for {
		batch, behind := g.take()
		if batch == nil && behind == nil {
			return
		}
		for _, do := range behind {
			do()
		}
		if batch == nil {
			continue
		}
		if _, err := g.write(*batch); err != nil {
			g.fail(err)
		}
		if cap(*batch) <= 2*maxUnsent { // append's slack included; a larger one is of a single large write
			*batch = (*batch)[:0]
			batches.Put(batch)
		}
	}
}

// take returns what is to be sent next, or what is to be done as there is nothing.
// If both are nil, the sender's time is over.
func (g *gathering) take() (batch *[]byte, behind []func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if batch, g.unsent = g.unsent, nil; batch != nil {
		g.changed.Broadcast()
		return batch, nil
	}
	behind, g.behind = g.behind, nil
	g.sending = behind != nil
	return nil, behind
}

// fail forgets what is unsent.
func (g *gathering) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsent = nil
	g.refuseLocked(err)
}

// refuse has writes fail from now on, those that wait included. What was written
// before is sent still.
func (g *gathering) refuse(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuseLocked(err)
}

func (g *gathering) refuseLocked(err error) {
	if g.refusal == nil {
		g.refusal = err
	}
	g.changed.Broadcast()
}

// finish refuses further writes and has do called when what was written before is
// sent, or can't be. It doesn't wait for that.
func (g *gathering) finish(do func()) {
	g.mu.Lock()
	g.refuseLocked(net.ErrClosed)
	sending := g.sending
	if sending {
		g.behind = append(g.behind, do)
	}
	g.mu.Unlock()
	if !sending {
		do()
	}
}
