package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxDials is the number of connections that one request may wait for.
	maxDials = 3

	// maxRefusedStreams is the number of retries of one request whose stream the upstream
	// refused. maxAttempts is the number of attempts in all. Before each of them the
	// upstream has certainly not processed the request.
	maxRefusedStreams = 3
	maxAttempts       = 16

	// refusedBackoff is the backoff before the second retry of a refused stream. It
	// doubles with each further retry.
	refusedBackoff = 50 * time.Millisecond
)

// http2Client sends requests to one host over HTTP/2, or over HTTP/1.1 if the host doesn't
// support HTTP/2.
//
// It only uses the framer of golang.org/x/net/http2. The client of net/http waits for the
// network while it holds locks that every request needs, dials without a limit, and doesn't
// report whether a request was processed.
type http2Client struct {
	http1           *http1Client
	dialer          *dialer
	settingsTimeout time.Duration // from the TLS handshake to the settings of the peer
	keepAlive       time.Duration
	followRedirects bool

	keptConns atomic.Int64 // connections in conns that are not about to be closed

	mu              sync.Mutex
	conns           []*http2Conn // guarded by mu: connections that accept requests, oldest first
	dials           []*http2Dial // guarded by mu: for requests that found no connection with a free stream
	lastStreamLimit int          // guarded by mu: concurrent streams of the last connection; 0 if there was none
	usesHTTP1       bool         // guarded by mu: the last connection negotiated HTTP/1.1
	failures        int          // guarded by mu: failed connections since the last success
	lastFailure     error        // guarded by mu: the error of the last of them
	failedAt        time.Time    // guarded by mu: the time of the last failure
}

// http2Dial is a connection attempt that several requests wait for: as many as the
// connection is likely to have streams for.
type http2Dial struct {
	done      chan struct{}
	cancel    func()     // called when no request waits any more
	capacity  int        // how many requests may wait
	waiters   int        // guarded by http2.mu
	conn      *http2Conn // guarded by http2.mu: nil if it failed or has no free stream
	reserved  int        // guarded by http2.mu: streams of conn reserved for waiters
	usesHTTP1 bool       // set before done is closed: the connection negotiated HTTP/1.1
	err       error      // set before done is closed
}

// newHTTP2Client returns a client that uses the connections of d.
func newHTTP2Client(h *http1Client, d *dialer, keepAlive time.Duration, follows bool) *http2Client {
	both := *d
	both.tls = d.tls.Clone()
	both.tls.NextProtos = []string{"h2", "http/1.1"}
	return &http2Client{http1: h, dialer: &both, settingsTimeout: d.timeout, keepAlive: keepAlive, followRedirects: follows}
}

// closeIdle closes the connections without requests.
func (h *http2Client) closeIdle() {
	h.mu.Lock()
	conns := slices.Clone(h.conns)
	h.mu.Unlock()
	for _, c := range conns {
		c.closeIdle()
	}
}

// send sends a request and returns its response. It retries a request that the upstream
// has certainly not processed (RFC 9113 §8.7) while its body is available.
func (h *http2Client) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	header, err := h.http1.newHTTP2Header(req, target)
	if err != nil {
		closeBody(req.Body)
		return nil, h.http1.requestError(err)
	}
	bodies := newBodyReplay(req.Body)
	defer bodies.finish()
	r := &http2Request{http2Client: h, ctx: ctx, req: req, header: header, bodies: bodies}
	for {
		c, err := r.acquireConn()
		if err != nil {
			return nil, err
		}
		body := bodies.next()
		if c == nil {
			return h.sendHTTP1(ctx, req, target, body)
		}
		resp, err := r.attempt(c, body)
		if err == nil {
			h.markHealthy()
			if h.followRedirects && isRedirect(resp.StatusCode) {
				req.replayBody = bodies.buffered(req.ContentLength)
			}
			return resp, nil
		}
		if !r.shouldRetry(err) {
			if ctx.Err() != nil {
				err = contextError(ctx)
			}
			return nil, err
		}
	}
}

// sendHTTP1 sends a request over HTTP/1.1.
func (h *http2Client) sendHTTP1(ctx context.Context, req *Request, target string, body io.Reader) (*http.Response, error) {
	copied := *req
	copied.Body = body
	resp, err := h.http1.send(ctx, &copied, target)
	req.replayBody = copied.replayBody
	if err == nil {
		h.markHealthy()
	}
	return resp, err
}

// http2Request is a request with its attempts.
type http2Request struct {
	*http2Client

	ctx    context.Context //nolint:containedctx // the context passed to Send
	req    *Request
	header *http2Header
	bodies *bodyReplay

	attempts, dials, refusedStreams int
	repeated                        bool  // retried although it may have been processed
	lastErr                         error // of the last attempt
}

// attempt sends the request on a connection.
func (r *http2Request) attempt(c *http2Conn, body io.Reader) (*http.Response, error) {
	r.attempts++
	s, rest, err := c.open(r.ctx, r.req, r.header, body)
	if err != nil {
		closeBody(body)
		r.lastErr = r.http1.fromHTTP2Error(err)
		return nil, r.lastErr
	}
	if rest != nil {
		go s.upload(rest, r.header)
	}
	resp, err := s.awaitResponse()
	if err != nil {
		s.unwatch()
		r.lastErr = s.classify(err)
		return nil, r.lastErr
	}
	if resp.Body == http.NoBody {
		s.release() // this stops an upload
	} else {
		resp.Body = s
	}
	return resp, nil
}

// shouldRetry reports whether the request may be retried after an error. It waits for the
// backoff.
func (r *http2Request) shouldRetry(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok || r.attempts >= maxAttempts || r.ctx.Err() != nil || !r.bodies.isComplete() {
		return false
	}
	if !failure.Unprocessed {
		// As over HTTP/1.1, except for POST: an upstream that closes a connection reports
		// which requests it has not processed.
		again := failure.staleConn && !r.repeated && r.req.isIdempotent()
		r.repeated = true
		return again
	}
	if failure.refusedStream {
		if r.refusedStreams++; r.refusedStreams > maxRefusedStreams {
			return false
		}
		if r.refusedStreams > 1 {
			timer := time.NewTimer(refusedBackoff << (r.refusedStreams - 2))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.ctx.Done():
				return false
			}
		}
	}
	return true
}

// acquireConn returns a connection with a reserved stream, or nil for HTTP/1.1.
func (r *http2Request) acquireConn() (*http2Conn, error) {
	h := r.http2Client
	for {
		if r.ctx.Err() != nil {
			return nil, contextError(r.ctx)
		}
		h.mu.Lock()
		for _, c := range h.conns {
			if c.reserve(1) == 1 {
				h.mu.Unlock()
				return c, nil
			}
		}
		if len(h.conns) == 0 && h.usesHTTP1 && h.http1.pool.hasIdle() {
			h.mu.Unlock()
			return nil, nil //nolint:nilnil // as documented
		}
		if r.dials >= maxDials {
			h.mu.Unlock()
			return nil, r.dialsExhausted()
		}
		r.dials++
		d := h.dial(r.ctx)
		h.mu.Unlock()
		if c, usesHTTP1, err := h.awaitDial(r.ctx, d); c != nil || usesHTTP1 || err != nil {
			return c, err
		}
	}
}

// dialsExhausted returns the error of a request that no connection has accepted.
func (r *http2Request) dialsExhausted() error {
	if r.lastErr != nil {
		return r.lastErr
	}
	failed := r.http1.newError(KindClosed, fmt.Sprintf("%d connections accepted no request", maxDials))
	failed.Unprocessed = true
	return failed
}

// dial joins a pending connection attempt, or starts one. mu is held.
func (h *http2Client) dial(ctx context.Context) *http2Dial {
	for _, d := range h.dials {
		if d.waiters < d.capacity {
			d.waiters++
			return d
		}
	}
	shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &http2Dial{done: make(chan struct{}), cancel: cancel, capacity: h.lastStreamLimit, waiters: 1}
	if d.capacity == 0 {
		d.capacity = math.MaxInt // unknown until the first connection
	}
	h.dials = append(h.dials, d)
	go func() {
		defer cancel()
		defer close(d.done)
		var c *http2Conn
		c, d.usesHTTP1, d.err = h.connect(shared)
		h.finishDial(d, c)
	}()
	return d
}

// finishDial reserves streams of a new connection, if any, for waiting requests.
func (h *http2Client) finishDial(d *http2Dial, c *http2Conn) {
	h.mu.Lock()
	h.removeDial(d)
	if c == nil {
		h.mu.Unlock()
		return
	}
	h.conns, h.usesHTTP1, h.lastStreamLimit = append(h.conns, c), false, c.streamLimit()
	h.keptConns.Add(1)
	if d.reserved = c.reserve(d.waiters); d.reserved > 0 {
		d.conn = c
	}
	useless := h.lastStreamLimit == 0
	h.mu.Unlock()
	switch {
	case c.isClosing(): // it may have been removed before it was added
		h.remove(c)
	case useless:
		c.retire(errUnused, maxWindow)
	}
}

// removeDial removes a connection attempt, so that no request joins it. mu is held.
func (h *http2Client) removeDial(d *http2Dial) {
	h.dials = slices.DeleteFunc(h.dials, func(other *http2Dial) bool { return other == d })
}

// awaitDial waits for a connection. The last request that stops waiting cancels the
// attempt. It returns the connection with a reserved stream, or nil if there was no free
// stream, and reports whether the connection uses HTTP/1.1.
func (h *http2Client) awaitDial(ctx context.Context, d *http2Dial) (c *http2Conn, usesHTTP1 bool, err error) {
	select {
	case <-d.done:
		usesHTTP1, err = d.usesHTTP1, d.err
	case <-ctx.Done():
		err = contextError(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && d.reserved > 0 {
		d.reserved--
		c = d.conn
	}
	if d.waiters--; d.waiters > 0 {
		return c, usesHTTP1, err
	}
	d.cancel()
	h.removeDial(d)
	if d.reserved > 0 { // reserved for requests that stopped waiting
		d.conn.release(d.reserved)
		d.reserved = 0
	}
	return c, usesHTTP1, err
}

// connect makes a connection. It reports whether the host negotiated HTTP/1.1, in which
// case it returns no connection.
func (h *http2Client) connect(ctx context.Context) (c *http2Conn, usesHTTP1 bool, err error) {
	network, err := h.dialer.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	if secured, ok := network.(*tls.Conn); !ok || secured.ConnectionState().NegotiatedProtocol != "h2" {
		h.keepHTTP1(network)
		return nil, true, nil
	}
	c = newHTTP2Conn(h.http1, network, h.keepAlive, h.remove, h.dropIfOverLimit)
	timer := time.NewTimer(h.settingsTimeout)
	defer timer.Stop()
	select {
	case <-c.settled:
	case <-c.done:
	case <-timer.C:
		c.fail(timeoutError(KindConnect, "no HTTP/2 settings within %v", h.settingsTimeout), 0)
	case <-ctx.Done():
		c.fail(errUnused, 0)
		return nil, false, contextError(ctx)
	}
	if err := h.settingsError(c); err != nil {
		return nil, false, err
	}
	return c, false, nil
}

// settingsError returns the error of a connection that ended before the settings of the
// peer arrived, or nil. No request was sent on it.
func (h *http2Client) settingsError(c *http2Conn) error {
	select {
	case <-c.settled:
		return nil
	default:
	}
	failure := *c.err()
	if failure.kind == KindClosed {
		failure.kind = KindConnect
	}
	failure.unprocessed = true
	return h.http1.fromHTTP2Error(&failure)
}

// keepHTTP1 puts a connection that negotiated HTTP/1.1 into the pool.
func (h *http2Client) keepHTTP1(network net.Conn) {
	c := newConn(network)
	c.untrack, c.writer.Timeout = h.http1.trackConn(), h.http1.stallTimeout
	h.http1.pool.put(c)
	h.mu.Lock()
	h.usesHTTP1 = true
	h.mu.Unlock()
}

// dropIfOverLimit reports whether there are more connections than may be kept. If so, the
// caller's connection no longer counts and must be closed.
func (h *http2Client) dropIfOverLimit() bool {
	for {
		n := h.keptConns.Load()
		if n <= int64(h.http1.pool.maxIdle) {
			return false
		}
		if h.keptConns.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// remove removes a connection that accepts no more requests.
func (h *http2Client) remove(c *http2Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := len(h.conns)
	h.conns = slices.DeleteFunc(h.conns, func(other *http2Conn) bool { return other == c })
	if len(h.conns) < known && !c.isDropped() {
		h.keptConns.Add(-1)
	}
	if err := c.err(); err != nil && err.connFailed {
		h.failures++
		h.lastFailure, h.failedAt = err, time.Now()
	}
}

// unhealthyTime is how long failed connections make a host unavailable.
const unhealthyTime = 30 * time.Second

// ready returns an error if connections to the host keep failing, because of protocol
// violations or timeouts, without a successful request in between. After some time the
// host is tried again.
func (h *http2Client) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures < maxDials || time.Since(h.failedAt) > unhealthyTime {
		return nil
	}
	return fmt.Errorf("upstream %s: %d HTTP/2 connections failed, the last one: %w", h.http1.authority, h.failures, h.lastFailure)
}

// markHealthy records a response.
func (h *http2Client) markHealthy() {
	h.mu.Lock()
	h.failures = 0
	h.mu.Unlock()
}
