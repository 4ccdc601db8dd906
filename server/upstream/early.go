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

// bodyPatience is how long a small body has until the request leaves without
// the rest of it. One that came with its head, as most do, is there at once.
const bodyPatience = 10 * time.Millisecond

// refusalPatience is how long an answer of 400 or above, which came before the
// end of the body, has for its own.
const refusalPatience = 2 * time.Second

// errAbandoned ends an upload that is not wanted any more.
var errAbandoned = errors.New("the answer came before the end of the body")

// early is an exchange that begins before a small body is there. It runs on
// another goroutine than the one that is held up by reading the body.
type early struct {
	ctx    context.Context //nolint:containedctx // the one that Send was called with
	host   *host
	req    *Request
	target string

	timer *time.Timer   // begins the exchange
	ended chan struct{} // closed when there is a response, or an error
	resp  *http.Response
	err   error

	mu      sync.Mutex
	read    []byte         // guarded by mu: of the body, until the exchange began
	rest    *io.PipeWriter // guarded by mu: of the body, since then; nil before
	settled bool           // guarded by mu: the exchange need not begin any more
}

// spareEarly has exchanges that need not have begun, as most of them. Their timers
// cost next to nothing when they are used again.
var spareEarly sync.Pool

func (h *host) newEarly(ctx context.Context, req *Request, target string) *early {
	e, ok := spareEarly.Get().(*early)
	if !ok {
		e = &early{ended: make(chan struct{})}
		e.ctx, e.host, e.req, e.target = ctx, h, req, target
		e.timer = time.AfterFunc(bodyPatience, e.begin)
		return e
	}
	e.ctx, e.host, e.req, e.target = ctx, h, req, target
	e.timer.Reset(bodyPatience)
	return e
}

// release gives an exchange that has not begun, and won't, to another request.
func (e *early) release() {
	if e.timer.Stop() {
		e.ctx, e.host, e.req, e.read, e.settled = nil, nil, nil, nil, false
		spareEarly.Put(e)
	}
}

// readSmall reads a small body behind the head. If that takes long it sends the
// request without waiting, and returns the exchange when it ended.
func (h *host) readSmall(ctx context.Context, req *Request, target string, out *outgoing) (*early, error) {
	defer closeBody(out.rest)
	e := h.newEarly(ctx, req, target)
	defer e.release()
	for head := out.head; ; {
		out.bytes = slices.Grow(out.bytes, 1)
		n, err := out.rest.Read(out.bytes[len(out.bytes):cap(out.bytes)])
		out.bytes = out.bytes[:len(out.bytes)+n]
		switch missing := int(out.framing.length) - (len(out.bytes) - head); {
		case missing < 0:
			err = errBodyTooLong
		case missing > 0 && err == io.EOF:
			err = io.ErrUnexpectedEOF
		}
		began := e.pass(out.bytes[head:], n, err)
		switch {
		case err == nil:
		case began:
			<-e.ended
			if err == io.EOF {
				req.again = bytes.NewReader(out.bytes[head:])
			}
			return e, nil
		case err == io.EOF:
			out.rest, out.memory = nil, nil
			return nil, nil //nolint:nilnil // there is no such exchange, and that is fine
		default:
			return nil, err
		}
	}
}

// pass tells what was read: all of it, how much of that just now, and what
// ended it. It reports whether the exchange has begun.
func (e *early) pass(read []byte, n int, err error) bool {
	e.mu.Lock()
	e.read, e.settled = read, err != nil
	rest := e.rest
	e.mu.Unlock()
	if rest == nil {
		return false
	}
	_, _ = rest.Write(read[len(read)-n:]) // unless it is abandoned
	if err != nil {
		_ = rest.CloseWithError(err)
	}
	return true
}

// begin sends the request, unless its body is there.
func (e *early) begin() {
	e.mu.Lock()
	if e.settled {
		e.mu.Unlock()
		return
	}
	ctx, h, req := e.ctx, e.host, e.req
	from, rest := io.Pipe()
	slow := *req
	// To close it is to let go of whoever reads the body.
	slow.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(slices.Clone(e.read)), from), from}
	e.rest = rest
	e.mu.Unlock()
	defer close(e.ended)
	// A server takes a body that can't be read for a client that left, and the
	// context with it. One whose body is abandoned did not leave.
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unbind := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	out, err := h.prepare(&slow, e.target)
	if err != nil {
		e.err = h.requestError(err)
	} else {
		e.resp, e.err = h.exchange(detached, &slow, out) //nolint:bodyclose // whoever called Send does
	}
	// Whoever is refused is not to be heard out, if it can be stopped.
	if e.err != nil || e.resp.StatusCode >= http.StatusBadRequest {
		unbind()
		time.AfterFunc(refusalPatience, func() { cancel(context.Cause(ctx)) })
		_ = rest.CloseWithError(errAbandoned)
		if req.CancelBody != nil {
			req.CancelBody()
		}
	}
}
