package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// smallBodyWait is how long a small body is awaited before the request is sent
	// without the rest of it. Most bodies arrive together with their header.
	smallBodyWait = 10 * time.Millisecond

	// rejectionWait bounds a response of 400 or above that arrived before the end of the
	// request's body.
	rejectionWait = 2 * time.Second
)

// errBodyCanceled ends an upload whose response makes the rest of the body useless.
var errBodyCanceled = errors.New("the response arrived before the end of the body")

// bufferedBody is the buffering state of an exchange. It appends a small body to the
// header, so that both are sent in one write and a slow client occupies no connection of the
// upstream. If the body takes longer than [smallBodyWait], the exchange starts on the
// timer's goroutine, and its upload reads from the buffer while fill goes on.
type bufferedBody struct {
	client *http1Client
	ctx    context.Context //nolint:containedctx // the context passed to Send
	req    *Request
	timer  *time.Timer   // starts the exchange
	done   chan struct{} // closed when the exchange has a response or has failed
	resp   *http.Response
	err    error

	mu       sync.Mutex
	changed  sync.Cond    // signals changes of the following fields
	out      *wireRequest // guarded by mu: its bytes
	offset   int          // guarded by mu: end of the part of out.bytes that the upload has read
	end      error        // guarded by mu: what ended the body; io.EOF if it is complete
	started  bool         // guarded by mu: the exchange started before the end of the body
	canceled bool         // guarded by mu: the upload must stop
}

// bufferedBodies has spare buffers whose exchange didn't start early. Reusing their
// timers costs far less than creating timers.
var bufferedBodies sync.Pool

func newBufferedBody(ctx context.Context, c *http1Client, req *Request, out *wireRequest) *bufferedBody {
	b, ok := bufferedBodies.Get().(*bufferedBody)
	if !ok {
		b = &bufferedBody{done: make(chan struct{})}
		b.changed.L = &b.mu
	}
	b.client, b.ctx, b.req, b.out = c, ctx, req, out
	if !ok {
		b.timer = time.AfterFunc(smallBodyWait, b.start)
	} else {
		b.timer.Reset(smallBodyWait)
	}
	return b
}

// fill reads the body to its end, and returns what ended it. It reports whether the
// exchange has started meanwhile, and waits for its response if so. Otherwise b must not be
// used any more.
func (b *bufferedBody) fill() (started bool, err error) {
	out := b.out
	body := out.body
	defer closeBody(body)
	for {
		buffer := slices.Grow(out.bytes, 1)
		n, err := body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch missing := int(out.framing.length) - (len(buffer) - out.head); {
		case missing < 0:
			err = errBodyTooLong
		case missing > 0 && err == io.EOF: //nolint:errorlint // a wrapped io.EOF is not the end of the body
			err = io.ErrUnexpectedEOF
		}
		b.mu.Lock()
		out.bytes, b.end, started = buffer, err, b.started
		b.mu.Unlock()
		if started {
			b.changed.Signal()
		}
		switch {
		case err == nil:
			continue
		case !started:
			out.body = nil
			b.recycle()
			return false, err
		}
		<-b.done
		if err == io.EOF { //nolint:errorlint // as above
			b.req.replayBody = bytes.NewReader(buffer[out.head:])
		}
		return true, err
	}
}

// recycle keeps b for another request, unless its timer has fired.
func (b *bufferedBody) recycle() {
	if b.timer.Stop() {
		b.client, b.ctx, b.req, b.out, b.end = nil, nil, nil, nil, nil
		bufferedBodies.Put(b)
	}
}

// start runs the exchange, unless the body is complete.
func (b *bufferedBody) start() {
	b.mu.Lock()
	if b.end != nil {
		b.mu.Unlock()
		return
	}
	b.started = true
	head := b.out.bytes[:b.out.head]
	b.offset = len(head)
	b.mu.Unlock()
	defer close(b.done)
	// net/http cancels the context of a request whose body can't be read, as if the
	// client had left. After CancelBody the client is still there.
	clientCtx := b.ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(clientCtx))
	detach := context.AfterFunc(clientCtx, func() { cancel(context.Cause(clientCtx)) })
	out := &wireRequest{framing: b.out.framing, bytes: head, head: len(head), body: b}
	b.resp, b.err = b.client.exchange(ctx, b.req, out) //nolint:bodyclose // the caller of Send closes it
	if b.err == nil && b.resp.StatusCode < http.StatusBadRequest {
		return
	}
	detach()
	time.AfterFunc(rejectionWait, func() { cancel(context.Cause(clientCtx)) })
	b.mu.Lock()
	b.canceled = true
	b.mu.Unlock()
	b.changed.Signal()
	if b.req.CancelBody != nil {
		b.req.CancelBody()
	}
}

// Read implements [io.Reader] for the upload of an exchange that started early.
func (b *bufferedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.offset == len(b.out.bytes) && b.end == nil && !b.canceled {
		b.changed.Wait()
	}
	if b.canceled {
		return 0, errBodyCanceled
	}
	if b.offset == len(b.out.bytes) {
		return 0, b.end
	}
	n := copy(p, b.out.bytes[b.offset:])
	b.offset += n
	return n, nil
}
