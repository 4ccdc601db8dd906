package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// host is a host that is spoken to in HTTP/1.1.
type host struct {
	authority   string // as the Host field has it
	prefix      string // of a target in absolute form; empty for origin form
	credentials string // for the proxy that gets the requests, or empty
	pool        pool
	open        atomic.Int64 // connections
	growth      atomic.Int64 // of the windows of all streams of HTTP/2, in bytes

	headerTimeout  time.Duration
	stallTimeout   time.Duration
	closingTime    time.Duration
	maxHeaderBytes int64
}

// send sends a request and returns its response.
func (h *host) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	out, err := h.prepare(req, target)
	if err != nil {
		closeBody(req.Body)
		return nil, h.requestError(err)
	}
	if out.isSmall(req) {
		early, err := h.readSmall(ctx, req, target, out)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, contextError(ctx)
		case err != nil:
			return nil, h.requestError(err)
		case early != nil:
			return early.resp, early.err
		}
	}
	return h.exchange(ctx, req, out)
}

// exchange sends what is prepared, on a connection of its own, and once more
// where one that was kept turns out to be closing.
func (h *host) exchange(ctx context.Context, req *Request, out *outgoing) (*http.Response, error) {
	defer out.release()
	for fresh := false; ; fresh = true {
		c, err := h.pool.get(ctx, fresh)
		if err != nil {
			closeBody(out.rest)
			return nil, err
		}
		x := &exchange{host: h, conn: c, ctx: ctx}
		resp, err := x.run(req, out)
		if err == nil && isRedirect(resp.StatusCode) {
			req.again = out.body()
		}
		if err == nil || ctx.Err() != nil || !x.wasClosing(req, err) || !out.again() {
			return resp, err
		}
	}
}

// closingTime is how long after a request its connection may end for that to mean
// that it had been closing before: some round trips.
const closingTime = time.Second

// wasClosing reports whether an exchange failed because the connection, which
// was kept, was just closing, so that nobody has acted on the request. That an
// upstream died at work on it looks the same but for the time that it took; what
// may be done twice without harm (RFC 9110 §9.2.2) is not judged by that.
func (x *exchange) wasClosing(req *Request, err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Kind != KindClosed || !x.conn.used || x.answered {
		return false
	}
	return req.isIdempotent() || time.Since(x.began) < x.host.closingTime
}

// isIdempotent reports whether a request may be processed twice without harm (RFC
// 9110 §9.2.2).
func (r *Request) isIdempotent() bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return len(r.Header["Idempotency-Key"]) > 0
}

// exchange is one request and its response. It runs on the goroutine that calls
// it, without another one to hand over to; only a body that is sent while the
// response may come already has a goroutine of its own.
//
// It is the response's body too.
type exchange struct {
	host   *host
	conn   *conn
	ctx    context.Context //nolint:containedctx // it is the exchange's own: the one Send was called with
	upload *upload         // nil unless the body is sent beside the response

	began    time.Time
	unwatch  func() bool // ends the watch on ctx
	answered bool        // a byte of the answer came
	body     io.Reader   // of the response, which is nothing else's
	reusable bool        // as the response says

	mu      sync.Mutex
	waiting bool  // guarded by mu: for the response's header
	over    error // guarded by mu: what ended the exchange
}

// run sends the request and returns the response when its header is there.
func (x *exchange) run(req *Request, out *outgoing) (*http.Response, error) {
	x.waiting = true
	x.began = time.Now()
	// Whoever is too busy to listen may answer before there is a request. That
	// is taken for the answer, but behind it another one could come.
	unasked := !x.conn.used && x.conn.speaksFirst()
	x.unwatch = context.AfterFunc(x.ctx, func() { _ = x.conn.Close() })
	// Whoever closes a connection may have answered before, so that a failure
	// to write is for the reader to explain.
	_, err := x.conn.Write(out.bytes)
	switch {
	case err != nil:
		closeBody(out.rest)
		x.startWaiting()
	case out.rest == nil:
		_ = x.conn.SetReadDeadline(x.began.Add(x.host.headerTimeout))
	default:
		x.upload = newUpload(out, req, x)
		go x.upload.run(x.ctx)
	}
	resp, err := x.receive(req)
	if err != nil {
		err = x.explain(err)
		x.end(err)
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.unwatch()
		x.conn.writer.unbound()
		resp.Body = &switched{x.conn}
		return resp, nil
	}
	x.reusable = !resp.Close && !unasked
	if resp.Body == http.NoBody {
		x.end(io.EOF)
		return resp, nil
	}
	x.body = resp.Body
	resp.Body = x
	return resp, nil
}

// requestOf tells the parser of responses the method, on which the presence of
// a body depends.
func requestOf(method string) *http.Request {
	if method == http.MethodHead {
		return headRequest
	}
	return nil
}

var headRequest = &http.Request{Method: http.MethodHead}

// receive reads up to the end of the header of the final response.
func (x *exchange) receive(req *Request) (*http.Response, error) {
	c := x.conn
	c.allowance = x.host.maxHeaderBytes
	if _, err := c.reader.Peek(1); err != nil {
		return nil, err
	}
	x.answered = true
	for {
		resp, err := http.ReadResponse(c.reader, requestOf(req.Method))
		switch {
		case err != nil && c.broken == io.EOF: //nolint:errorlint // as the reader has it
			return nil, io.ErrUnexpectedEOF
		case err != nil && c.broken != nil: // or the parser would complain of the half of a line
			return nil, c.broken
		case err != nil:
			return nil, err
		}
		resp.Request = nil
		if err := checkAnswer(req, resp); err != nil {
			return nil, &answerError{err}
		}
		switch status := resp.StatusCode; {
		case status == http.StatusContinue:
			x.upload.decide(true)
		case status < 200 && status != http.StatusSwitchingProtocols:
			if req.Interim != nil {
				req.Interim(status, resp.Header)
			}
		default:
			x.endWaiting()
			return resp, nil
		}
	}
}

// startWaiting begins the time that the upstream has for an answer, unless the
// answer is there.
func (x *exchange) startWaiting() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting {
		timeout := x.host.headerTimeout
		if x.conn.writer.stalled.Load() {
			timeout = stallAnswerTime
		}
		_ = x.conn.SetReadDeadline(time.Now().Add(timeout))
	}
}

func (x *exchange) endWaiting() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = false
	x.upload.decide(false)
	_ = x.conn.SetReadDeadline(time.Time{})
	x.conn.allowance = math.MaxInt64
}

// Read reads the response's body. What ended it is told as often as it is asked.
func (x *exchange) Read(p []byte) (int, error) {
	if err := x.result(); err != nil {
		return 0, err
	}
	n, err := x.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF { //nolint:errorlint // an end that is wrapped is none
		err = x.explainBody(err)
	}
	x.end(err)
	return n, err
}

// Wait returns when there is something to Read, or nothing more to come. Who
// waits here, rather than in Read, needs no buffer for that.
func (x *exchange) Wait() {
	if x.result() == nil {
		_, _ = x.conn.reader.Peek(1) // Read tells what is wrong
	}
}

// Close lets go of the connection. It is closed if the body was not read to its
// end.
func (x *exchange) Close() error {
	x.end(http.ErrBodyReadAfterClose)
	return nil
}

// result is what ended the exchange, nil if nothing did.
func (x *exchange) result() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over
}

// end lets go of the connection for the reason given. After io.EOF it may serve
// the next request, if all of this one is over.
func (x *exchange) end(reason error) {
	x.mu.Lock()
	first := x.over == nil
	if first {
		x.over = reason
	}
	x.mu.Unlock()
	if !first {
		return
	}
	watched := x.unwatch()
	if reason == io.EOF && watched && x.reusable && x.upload.isWhole() && x.conn.reader.Buffered() == 0 { //nolint:errorlint // as above
		x.host.pool.put(x.conn)
		return
	}
	_ = x.conn.Close()
}

// explain turns a failure before the response into one that says what happened.
func (x *exchange) explain(err error) error {
	h := x.host
	switch {
	case x.ctx.Err() != nil:
		return contextError(x.ctx)
	case x.upload.failure() != nil:
		return h.requestError(x.upload.failure())
	case errors.Is(err, errHeaderTooLarge):
		return h.newError(KindHeaderTooLarge, fmt.Sprintf("the limit is %d bytes", h.maxHeaderBytes))
	case errors.Is(err, os.ErrDeadlineExceeded) && x.conn.writer.stalled.Load():
		return h.newError(KindTimeout, fmt.Sprintf("it took nothing of the request for %v", h.stallTimeout))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return h.newError(KindTimeout, fmt.Sprintf("waited %v", h.headerTimeout))
	case isBreak(err):
		return h.newError(KindClosed, reason(err))
	case isAnswerError(err):
		return h.newError(KindMalformed, err.Error())
	default:
		return h.newError(KindMalformed, "") // the error's text quotes what was received
	}
}

// explainBody does the same for a failure within the response's body.
func (x *exchange) explainBody(err error) error {
	switch {
	case x.ctx.Err() != nil:
		return contextError(x.ctx)
	case isBreak(err):
		return x.host.newError(KindTruncated, reason(err))
	default:
		return x.host.newError(KindMalformed, "")
	}
}

// switched is a connection that speaks another protocol now.
type switched struct{ conn *conn }

// Read begins with what the reader has already.
func (s *switched) Read(p []byte) (int, error) { return s.conn.reader.Read(p) }

func (s *switched) Write(p []byte) (int, error) { return s.conn.Write(p) }

func (s *switched) Close() error { return s.conn.Close() }

// SetReadDeadline bounds the time of Read.
func (s *switched) SetReadDeadline(deadline time.Time) error { return s.conn.SetReadDeadline(deadline) }

// CloseWrite ends this side alone.
func (s *switched) CloseWrite() error {
	half, ok := s.conn.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
