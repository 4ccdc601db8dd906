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

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// earlyResponseWait bounds the wait for a response after the upstream has stopped reading
// the request. It may have responded before.
const earlyResponseWait = time.Second

// http1Client sends requests to one host over HTTP/1.1.
type http1Client struct {
	authority          string // the value of the Host header
	targetPrefix       string // of a request-target in absolute form; empty for origin form
	proxyAuthorization string // for a proxy that receives the requests; empty for none
	pool               pool
	openConns          atomic.Int64
	windowGrowth       atomic.Int64 // of all HTTP/2 streams, in bytes

	headerTimeout time.Duration
	stallTimeout  time.Duration
	staleWindow   time.Duration
}

// send sends a request and returns its response.
func (c *http1Client) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	out, err := c.prepare(req, target)
	if err != nil {
		closeBody(req.Body)
		return nil, c.requestError(err)
	}
	if out.isBuffered(req) {
		b := newBufferedBody(ctx, c, req, out)
		started, err := b.fill()
		switch {
		case started:
			return b.resp, b.err // the upload may still use out
		case err != io.EOF && ctx.Err() != nil: //nolint:errorlint // a wrapped io.EOF is not the end of the body
			return nil, contextError(ctx)
		case err != io.EOF: //nolint:errorlint // as above
			return nil, c.requestError(err)
		}
	}
	defer out.release()
	return c.exchange(ctx, req, out)
}

// exchange sends a prepared request. It sends it once more, on a new connection, if a
// reused connection was stale.
func (c *http1Client) exchange(ctx context.Context, req *Request, out *wireRequest) (*http.Response, error) {
	for fresh := false; ; fresh = true {
		conn, err := c.pool.get(ctx, fresh)
		if err != nil {
			closeBody(out.body)
			return nil, err
		}
		x := &exchange{client: c, conn: conn, ctx: ctx}
		resp, err := x.run(req, out)
		if err == nil && isRedirect(resp.StatusCode) {
			req.replayBody = out.bodyCopy()
		}
		if err == nil || ctx.Err() != nil || !x.isStale(req, err) || !out.rewind() {
			return resp, err
		}
	}
}

// staleWindow is how soon after a request its connection must end to be considered
// stale: a few round trips.
const staleWindow = time.Second

// isStale reports whether an exchange failed because its reused connection was being
// closed, so that the upstream has not processed the request. An upstream that crashed
// while processing it differs only in the time it took. That time is ignored for
// idempotent requests.
func (x *exchange) isStale(req *Request, err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Kind != KindClosed || !x.conn.reused || x.responseBegan {
		return false
	}
	return req.isIdempotent() || time.Since(x.startedAt) < x.client.staleWindow
}

// isIdempotent reports whether a request may be processed twice (RFC 9110 §9.2.2).
func (r *Request) isIdempotent() bool {
	return httpx.IsIdempotent(r.Method) || len(r.Header["Idempotency-Key"]) > 0
}

// exchangeState is a state of an exchange that has a connection. The package comment
// shows the transitions.
type exchangeState int

const (
	sending exchangeState = iota // the request is being sent, and the response may arrive
	waiting                      // the request is sent, and the response header is due
	reading                      // the response header has arrived
	ended                        // the exchange has released its connection
)

// exchange is one request and its response over HTTP/1.1, and the response's body. It runs
// on the caller's goroutine.
type exchange struct {
	client *http1Client
	conn   *conn
	ctx    context.Context //nolint:containedctx // the context passed to Send
	upload *upload         // nil if the body was sent with the header

	startedAt     time.Time
	unwatch       func() bool // stops watching ctx
	responseBegan bool        // a byte of the response has arrived
	body          io.Reader   // of the response, without the exchange around it
	reusable      bool        // the response allows another request on the connection

	mu     sync.Mutex
	state  exchangeState // guarded by mu
	endErr error         // guarded by mu: why the exchange ended
}

// run sends the request and returns the response when its header has arrived.
func (x *exchange) run(req *Request, out *wireRequest) (*http.Response, error) {
	x.startedAt = time.Now()
	// A busy server may send a response before it has received a request. It is taken for
	// the response, but another response could follow it.
	unsolicited := !x.conn.reused && x.conn.hasUnsolicitedData()
	x.unwatch = context.AfterFunc(x.ctx, func() { _ = x.conn.Close() })
	// A peer that closes the connection may have sent a response before, so that a write
	// error is left to the reader to classify.
	_, err := x.conn.Write(out.bytes)
	switch {
	case err != nil:
		closeBody(out.body)
		x.startWaiting()
	case out.body == nil:
		x.startWaiting()
	default:
		x.upload = newUpload(out, req, x)
		go x.upload.run(x.ctx)
	}
	resp, err := x.receive(req)
	if err != nil {
		err = x.classify(err)
		x.end(err)
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.unwatch()
		x.conn.writer.ClearTimeout()
		resp.Body = &upgradedConn{x.conn}
		return resp, nil
	}
	x.reusable = !resp.Close && !unsolicited
	if resp.Body == http.NoBody {
		x.end(io.EOF)
		return resp, nil
	}
	x.body = resp.Body
	resp.Body = x
	return resp, nil
}

// requestOf returns the request that [http.ReadResponse] needs to know whether the
// response may have a body.
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
	c.readLimit = maxResponseHeaderBytes
	if _, err := c.reader.Peek(1); err != nil {
		return nil, err
	}
	x.responseBegan = true
	for {
		resp, err := http.ReadResponse(c.reader, requestOf(req.Method))
		switch {
		case err != nil && c.readErr == io.EOF: //nolint:errorlint // the reader doesn't wrap it
			return nil, io.ErrUnexpectedEOF
		case err != nil && c.readErr != nil: // the parser would report half a line as malformed
			return nil, c.readErr
		case err != nil:
			return nil, err
		}
		resp.Request = nil
		if err := checkResponse(req, resp); err != nil {
			return nil, &responseError{err}
		}
		switch status := resp.StatusCode; {
		case status == http.StatusContinue:
			x.upload.resolveExpectContinue(true)
		case status < 200 && status != http.StatusSwitchingProtocols:
			if req.Interim != nil {
				req.Interim(status, resp.Header)
			}
		default:
			x.startReading()
			return resp, nil
		}
	}
}

// startWaiting enters the waiting state, in which the response header must arrive in time,
// unless the header has already arrived.
func (x *exchange) startWaiting() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state != sending {
		return
	}
	x.state = waiting
	timeout := x.client.headerTimeout
	if x.conn.writer.Expired() {
		timeout = earlyResponseWait
	}
	_ = x.conn.SetReadDeadline(time.Now().Add(timeout))
}

// startReading enters the reading state.
func (x *exchange) startReading() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state = reading
	x.upload.resolveExpectContinue(false)
	_ = x.conn.SetReadDeadline(time.Time{})
	x.conn.readLimit = math.MaxInt64
}

// Read reads the response's body. At its end it returns the same error every time.
func (x *exchange) Read(p []byte) (int, error) {
	if err := x.result(); err != nil {
		return 0, err
	}
	n, err := x.body.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF { //nolint:errorlint // a wrapped io.EOF is not the end of the body
		err = x.classifyBody(err)
	}
	x.end(err)
	return n, err
}

// Wait returns when Read would not block. Unlike a blocked Read it needs no buffer.
func (x *exchange) Wait() {
	if x.result() == nil {
		_, _ = x.conn.reader.Peek(1) // Read returns the error
	}
}

// Close releases the connection. The connection is closed if the body was not read to
// its end.
func (x *exchange) Close() error {
	x.end(http.ErrBodyReadAfterClose)
	return nil
}

// result returns why the exchange ended, or nil if it has not.
func (x *exchange) result() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.endErr
}

// end enters the ended state and releases the connection. After io.EOF the connection
// returns to the pool, provided that request and response are complete.
func (x *exchange) end(err error) {
	x.mu.Lock()
	first := x.state != ended
	if first {
		x.state, x.endErr = ended, err
	}
	x.mu.Unlock()
	if !first {
		return
	}
	watched := x.unwatch()
	if err == io.EOF && watched && x.reusable && x.upload.isComplete() && x.conn.reader.Buffered() == 0 { //nolint:errorlint // as in Read
		x.client.pool.put(x.conn)
		return
	}
	_ = x.conn.Close()
}

// classify returns the error of an exchange that ended before the response header.
func (x *exchange) classify(err error) error {
	c := x.client
	switch {
	case x.ctx.Err() != nil:
		return contextError(x.ctx)
	case x.upload.readError() != nil:
		return c.requestError(x.upload.readError())
	case errors.Is(err, errHeaderTooLarge):
		return c.newError(KindHeaderTooLarge, headerLimitDetail())
	case errors.Is(err, os.ErrDeadlineExceeded) && x.conn.writer.Expired():
		return c.newError(KindTimeout, stallDetail(c.stallTimeout))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.newError(KindTimeout, waitDetail(c.headerTimeout))
	case isDisconnect(err):
		return c.newError(KindClosed, errorDetail(err))
	case isResponseError(err):
		return c.newError(KindMalformed, err.Error())
	default:
		return c.newError(KindMalformed, "") // the error's text quotes received data
	}
}

// classifyBody returns the error of an exchange that ended within the response body.
func (x *exchange) classifyBody(err error) error {
	switch {
	case x.ctx.Err() != nil:
		return contextError(x.ctx)
	case isDisconnect(err):
		return x.client.newError(KindTruncated, errorDetail(err))
	default:
		return x.client.newError(KindMalformed, "")
	}
}

func headerLimitDetail() string {
	return fmt.Sprintf("the limit is %d bytes", maxResponseHeaderBytes)
}

func stallDetail(timeout time.Duration) string {
	return fmt.Sprintf("it read nothing of the request for %v", timeout)
}

func waitDetail(timeout time.Duration) string { return fmt.Sprintf("waited %v", timeout) }

// upgradedConn is the body of a 101 response: the connection, which speaks another
// protocol from there on.
type upgradedConn struct{ conn *conn }

// Read returns buffered data first.
func (u *upgradedConn) Read(p []byte) (int, error) { return u.conn.reader.Read(p) }

func (u *upgradedConn) Write(p []byte) (int, error) { return u.conn.Write(p) }

func (u *upgradedConn) Close() error { return u.conn.Close() }

func (u *upgradedConn) SetReadDeadline(t time.Time) error { return u.conn.SetReadDeadline(t) }

// CloseWrite closes the sending direction.
func (u *upgradedConn) CloseWrite() error { return httpx.CloseWrite(u.conn.Conn) }
