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
	// maxDials is how many connections one call may wait for.
	maxDials = 3

	// maxRefusals is how often one call is sent again because the upstream refused
	// its stream, and maxAttempts how often it is sent in all. Each time it is
	// certain that the upstream has not acted on it.
	maxRefusedStreams = 3
	maxAttempts       = 16

	// refusalPause is the pause before a call is sent again for the second time that
	// it was refused. It doubles.
	refusedBackoff = 50 * time.Millisecond
)

// http2 speaks HTTP/2 to a host, or HTTP/1.1 where the host knows nothing else.
//
// It is a client of our own, on the frames of golang.org/x/net/http2, since the one
// of net/http waits for the network while it holds locks that every call needs, dials
// without a bound, and doesn't say whether a request was processed.
type http2Client struct {
	http1           *http1Client
	dialer          *dialer
	settingsTimeout time.Duration // of what follows the TLS handshake
	keepAlive       time.Duration
	followRedirects bool // redirects are followed

	keptConns atomic.Int64 // connections that are neither forgotten nor about to be

	mu              sync.Mutex
	conns           []*http2Conn // guarded by mu: those that take requests, the oldest first
	dials           []*http2Dial // guarded by mu: for those who found no connection with room
	lastStreamLimit int          // guarded by mu: how many the last connection allowed at a time; 0 if there was none
	usesHTTP1       bool         // guarded by mu: the last connection was made for HTTP/1.1, which the host prefers
	failures        int          // guarded by mu: connections that failed since one worked
	lastFailure     error        // guarded by mu: of the last of them
	failedAt        time.Time    // guarded by mu: when it failed
}

// http2Dial is an attempt to connect that several calls wait for, as many as the
// connection is likely to have room for.
type http2Dial struct {
	done      chan struct{}
	cancel    func()     // ends it if nobody waits
	capacity  int        // how many may wait
	waiters   int        // guarded by http2.mu
	conn      *http2Conn // guarded by http2.mu: nil if there is none, or none with room
	reserved  int        // guarded by http2.mu: reservations of conn for those who wait
	usesHTTP1 bool       // set before done is closed: the host prefers HTTP/1.1
	err       error      // set before done is closed
}

// newHTTP2 returns what speaks to the host on connections that d makes.
func newHTTP2Client(h *http1Client, d *dialer, keepAlive time.Duration, follows bool) *http2Client {
	secure := *d
	secure.tls = d.tls.Clone()
	secure.tls.NextProtos = []string{"h2", "http/1.1"}
	return &http2Client{http1: h, dialer: &secure, settingsTimeout: d.timeout, keepAlive: keepAlive, followRedirects: follows}
}

// closeIdle closes the connections that no request is using.
func (h *http2Client) closeIdle() {
	h.mu.Lock()
	conns := slices.Clone(h.conns)
	h.mu.Unlock()
	for _, c := range conns {
		c.closeIdle()
	}
}

// send sends a request and returns its response. It sends it again if the upstream
// has certainly not acted on it (RFC 9113 §8.7) and its body is still there.
func (h *http2Client) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	header, err := h.http1.newHTTP2Header(req, target)
	if err != nil {
		closeBody(req.Body)
		return nil, h.http1.requestError(err)
	}
	bodies := newBodyReplay(req.Body)
	defer bodies.finish()
	call := &http2Request{http2Client: h, ctx: ctx, req: req, header: header, bodies: bodies}
	for {
		c, err := call.acquireConn()
		if err != nil {
			return nil, err
		}
		body := bodies.next()
		if c == nil {
			return h.sendHTTP1(ctx, req, target, body)
		}
		resp, err := call.attempt(c, body)
		if err == nil {
			h.markHealthy()
			if h.followRedirects && isRedirect(resp.StatusCode) {
				req.replayBody = bodies.buffered(req.ContentLength)
			}
			return resp, nil
		}
		if !call.shouldRetry(err) {
			if ctx.Err() != nil {
				err = contextError(ctx)
			}
			return nil, err
		}
	}
}

// sendPlain sends a request over HTTP/1.1.
func (h *http2Client) sendHTTP1(ctx context.Context, req *Request, target string, body io.Reader) (*http.Response, error) {
	plain := *req
	plain.Body = body
	resp, err := h.http1.send(ctx, &plain, target)
	req.replayBody = plain.replayBody
	if err == nil {
		h.markHealthy()
	}
	return resp, err
}

// http2Call is a call on its way to an answer.
type http2Request struct {
	*http2Client

	ctx    context.Context //nolint:containedctx // it is the call's own: the one Send was called with
	req    *Request
	header *http2Header
	bodies *bodyReplay

	attempts, dials, refusedStreams int
	repeated                        bool  // although it may have been processed
	lastErr                         error // of the last attempt
}

// attempt sends the request on a connection.
func (a *http2Request) attempt(c *http2Conn, body io.Reader) (*http.Response, error) {
	a.attempts++
	s, rest, err := c.open(a.ctx, a.req, a.header, body)
	if err != nil {
		closeBody(body)
		a.lastErr = a.http1.fromHTTP2Error(err)
		return nil, a.lastErr
	}
	if rest != nil {
		go s.upload(rest, a.header)
	}
	resp, err := s.awaitResponse()
	if err != nil {
		s.unwatch()
		a.lastErr = s.classify(err)
		return nil, a.lastErr
	}
	if resp.Body == http.NoBody {
		s.release() // an upload goes no further
	} else {
		resp.Body = s
	}
	return resp, nil
}

// mayTryAgain reports whether the call may be sent again after it failed, and waits
// until it should.
func (a *http2Request) shouldRetry(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok || a.attempts >= maxAttempts || a.ctx.Err() != nil || !a.bodies.isComplete() {
		return false
	}
	if !failure.Unprocessed {
		// As over HTTP/1.1, but for POST: an upstream that closes a connection tells what
		// it has not processed.
		again := failure.staleConn && !a.repeated && a.req.isIdempotent()
		a.repeated = true
		return again
	}
	if failure.refusedStream {
		if a.refusedStreams++; a.refusedStreams > maxRefusedStreams {
			return false
		}
		if a.refusedStreams > 1 {
			timer := time.NewTimer(refusedBackoff << (a.refusedStreams - 2))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-a.ctx.Done():
				return false
			}
		}
	}
	return true
}

// connection returns a connection with a reservation, or nil if HTTP/1.1 is to be
// spoken.
func (a *http2Request) acquireConn() (*http2Conn, error) {
	h := a.http2Client
	for {
		if a.ctx.Err() != nil {
			return nil, contextError(a.ctx)
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
			return nil, nil //nolint:nilnil // as said
		}
		if a.dials >= maxDials {
			h.mu.Unlock()
			return nil, a.dialsExhausted()
		}
		a.dials++
		d := h.dial(a.ctx)
		h.mu.Unlock()
		if c, plain, err := h.awaitDial(a.ctx, d); c != nil || plain || err != nil {
			return c, err
		}
	}
}

// exhausted is the error of a call that was given no connection that took it.
func (a *http2Request) dialsExhausted() error {
	if a.lastErr != nil {
		return a.lastErr
	}
	failed := a.http1.newError(KindClosed, fmt.Sprintf("%d connections took no request", maxDials))
	failed.Unprocessed = true
	return failed
}

// dial begins to connect for those who found no room, or joins those who wait for
// that. mu is held.
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
		d.capacity = math.MaxInt // the connection will tell
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

// finishDial gives the connection that was made, if any, to those who wait for it.
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
	case c.isClosing(): // it may have been forgotten before it was known
		h.remove(c)
	case useless:
		c.retire(errUnused, maxWindow)
	}
}

// dropDial has nobody join an attempt to connect any more. mu is held.
func (h *http2Client) removeDial(d *http2Dial) {
	h.dials = slices.DeleteFunc(h.dials, func(other *http2Dial) bool { return other == d })
}

// wait waits for a connection, which the last one who doesn't gives up. It returns
// the connection with a reservation, or none if there was no place left, and reports
// whether the connection speaks HTTP/1.1.
func (h *http2Client) awaitDial(ctx context.Context, d *http2Dial) (c *http2Conn, plain bool, err error) {
	select {
	case <-d.done:
		plain, err = d.usesHTTP1, d.err
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
		return c, plain, err
	}
	d.cancel()
	h.removeDial(d)
	if d.reserved > 0 { // of those who didn't wait
		d.conn.release(d.reserved)
		d.reserved = 0
	}
	return c, plain, err
}

// connect makes a connection. Without an error it may return none: the host prefers
// HTTP/1.1, in which case plain is set.
func (h *http2Client) connect(ctx context.Context) (c *http2Conn, plain bool, err error) {
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
		c.fail(timeoutError(KindConnect, "no HTTP/2 settings in %v", h.settingsTimeout), 0)
	case <-ctx.Done():
		c.fail(errUnused, 0)
		return nil, false, contextError(ctx)
	}
	if err := h.settingsError(c); err != nil {
		return nil, false, err
	}
	return c, false, nil
}

// unsettled returns why a connection ended before there were settings, nil if there
// are. Nothing was sent on it.
func (h *http2Client) settingsError(c *http2Conn) error {
	select {
	case <-c.settled:
		return nil
	default:
	}
	fault := *c.err()
	if fault.kind == KindClosed {
		fault.kind = KindConnect
	}
	fault.unprocessed = true
	return h.http1.fromHTTP2Error(&fault)
}

// keepPlain keeps a connection for HTTP/1.1, which the host prefers.
func (h *http2Client) keepHTTP1(network net.Conn) {
	c := newConn(network)
	c.untrack, c.writer.Timeout = h.http1.trackConn(), h.http1.stallTimeout
	h.http1.pool.put(c)
	h.mu.Lock()
	h.usesHTTP1 = true
	h.mu.Unlock()
}

// crowded reports whether there are more connections than may be kept. The one that
// asks is not kept then.
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

// forget has a connection get no more requests.
func (h *http2Client) remove(c *http2Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := len(h.conns)
	h.conns = slices.DeleteFunc(h.conns, func(other *http2Conn) bool { return other == c })
	if len(h.conns) < known && !c.isDropped() {
		h.keptConns.Add(-1)
	}
	if fault := c.err(); fault != nil && fault.connFailed {
		h.failures++
		h.lastFailure, h.failedAt = fault, time.Now()
	}
}

// readyTime is for how long connections that failed count against a host.
const unhealthyTime = 30 * time.Second

// ready returns why the host should be sent nothing: the connections to it keep
// failing, by violations of the protocol or by silence, and no call gets through. It
// is asked again after some time.
func (h *http2Client) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures < maxDials || time.Since(h.failedAt) > unhealthyTime {
		return nil
	}
	return fmt.Errorf("upstream %s: %d connections over HTTP/2 failed, the last one: %w", h.http1.authority, h.failures, h.lastFailure)
}

// works notes that a connection gave an answer.
func (h *http2Client) markHealthy() {
	h.mu.Lock()
	h.failures = 0
	h.mu.Unlock()
}
