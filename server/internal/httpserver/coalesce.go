package httpserver

import (
	"net"
	"net/http"
	"runtime"
	"sync"
)

// maxPending is the number of coalesced bytes above which Write blocks. The write in
// progress may hold as many again.
const maxPending = 32 << 10

// writeCoalescer combines small writes to an HTTP/2 connection. net/http writes each
// frame as soon as it exists: three for a gRPC response and one for each event of each
// stream. Each write is a system call, which is most of the cost of a small frame. The
// coalescer sends from a goroutine that first yields to the goroutines that are about
// to write. It never waits for time to pass.
//
// If a write fails, the next Write returns the error.
type writeCoalescer struct {
	write func(p []byte) (int, error) // to the connection

	mu         sync.Mutex
	changed    sync.Cond // signals that pending has been taken, or that err is set
	pending    *[]byte   // guarded by mu; nil for nothing
	sending    bool      // guarded by mu: the send goroutine is running
	err        error     // guarded by mu: the result of further writes
	afterFlush []func()  // guarded by mu: called when everything is sent
}

func newWriteCoalescer(write func(p []byte) (int, error)) *writeCoalescer {
	w := &writeCoalescer{write: write}
	w.changed.L = &w.mu
	return w
}

// coalesceWrites returns a handler that makes HTTP/2 connections coalesce their writes
// from the first request on. Before that there is little to coalesce, and individual
// writes slow down clients that flood the connection with frames other than requests.
// An HTTP/1.1 response is a single write already.
func coalesceWrites(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			if c := requestConn(r); c != nil {
				c.coalesce()
			}
		}
		next.ServeHTTP(w, r)
	})
}

// batchPool holds buffers for coalesced data. A connection has one only while it has
// data to send.
var batchPool = sync.Pool{New: func() any { return new([]byte) }}

// Write implements [io.Writer]. It returns before p is sent.
func (w *writeCoalescer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.pending != nil && len(*w.pending)+len(p) > maxPending {
		w.changed.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.pending == nil {
		w.pending = batchPool.Get().(*[]byte)
	}
	*w.pending = append(*w.pending, p...)
	if !w.sending {
		w.sending = true
		go w.send()
	}
	return len(p), nil
}

// send sends batches until nothing is left.
func (w *writeCoalescer) send() {
	runtime.Gosched() // to the goroutines that are about to write
	for {
		batch, afterFlush := w.nextBatch()
		if batch == nil && afterFlush == nil {
			return
		}
		for _, do := range afterFlush {
			do()
		}
		if batch == nil {
			continue
		}
		if _, err := w.write(*batch); err != nil {
			w.fail(err)
		}
		if cap(*batch) <= 2*maxPending { // with append's slack; anything larger held a single large write
			*batch = (*batch)[:0]
			batchPool.Put(batch)
		}
	}
}

// nextBatch returns the next batch or, if everything is sent, the functions to call
// then. If both are nil, the send goroutine must end.
func (w *writeCoalescer) nextBatch() (batch *[]byte, afterFlush []func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if batch, w.pending = w.pending, nil; batch != nil {
		w.changed.Broadcast()
		return batch, nil
	}
	afterFlush, w.afterFlush = w.afterFlush, nil
	w.sending = afterFlush != nil
	return nil, afterFlush
}

// fail discards pending data and makes further writes fail.
func (w *writeCoalescer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = nil
	w.rejectLocked(err)
}

// reject makes further and blocked writes fail. Pending data is still sent.
func (w *writeCoalescer) reject(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rejectLocked(err)
}

func (w *writeCoalescer) rejectLocked(err error) {
	if w.err == nil {
		w.err = err
	}
	w.changed.Broadcast()
}

// close rejects further writes and calls do when pending data is sent or has failed.
// It does not wait.
func (w *writeCoalescer) close(do func()) {
	w.mu.Lock()
	w.rejectLocked(net.ErrClosed)
	sending := w.sending
	if sending {
		w.afterFlush = append(w.afterFlush, do)
	}
	w.mu.Unlock()
	if !sending {
		do()
	}
}
