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
	maxRefusals = 3
	maxAttempts = 16

	// refusalPause is the pause before a call is sent again for the second time that
	// it was refused. It doubles.
	refusalPause = 50 * time.Millisecond
)

// http2 speaks HTTP/2 to a host, or HTTP/1.1 where the host knows nothing else.
//
// It is a client of our own, on the frames of golang.org/x/net/http2, since the one
// of net/http waits for the network while it holds locks that every call needs, dials
// without a bound, and doesn't say whether a request was processed.
type http2 struct {
	host      *host
	dialer    *dialer
	timeout   time.Duration // of what follows the TLS handshake
	keepAlive time.Duration
	follows   bool // redirects are followed

	kept atomic.Int64 // connections that are neither forgotten nor about to be

	mu      sync.Mutex
	conns   []*http2Conn // guarded by mu: those that take requests, the oldest first
	dials   []*http2Dial // guarded by mu: for those who found no connection with room
	streams int          // guarded by mu: how many the last connection allowed at a time; 0 if there was none
	plain   bool         // guarded by mu: the last connection was made for HTTP/1.1, which the host prefers
	failed  int          // guarded by mu: connections that failed since one worked
	fault   error        // guarded by mu: of the last of them
	at      time.Time    // guarded by mu: when it failed
}

// http2Dial is an attempt to connect that several calls wait for, as many as the
// connection is likely to have room for.
type http2Dial struct {
	done    chan struct{}
	cancel  func()     // ends it if nobody waits
	room    int        // how many may wait
	waiting int        // guarded by http2.mu
	conn    *http2Conn // guarded by http2.mu: nil if there is none, or none with room
	places  int        // guarded by http2.mu: reservations of conn for those who wait
	plain   bool       // set before done is closed: the host prefers HTTP/1.1
	err     error      // set before done is closed
}

// newHTTP2 returns what speaks to the host on connections that d makes.
func newHTTP2(h *host, d *dialer, keepAlive time.Duration, follows bool) *http2 {
	secure := *d
	secure.tls = d.tls.Clone()
	secure.tls.NextProtos = []string{"h2", "http/1.1"}
	return &http2{host: h, dialer: &secure, timeout: d.timeout, keepAlive: keepAlive, follows: follows}
}

// closeIdle closes the connections that no request is using.
func (h *http2) closeIdle() {
	h.mu.Lock()
	conns := slices.Clone(h.conns)
	h.mu.Unlock()
	for _, c := range conns {
		c.closeIdle()
	}
}

// send sends a request and returns its response. It sends it again if the upstream
// has certainly not acted on it (RFC 9113 §8.7) and its body is still there.
func (h *http2) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	header, err := h.host.headerOf(req, target)
	if err != nil {
		closeBody(req.Body)
		return nil, h.host.requestError(err)
	}
	bodies := newReplay(req.Body)
	defer bodies.settle()
	call := &http2Call{http2: h, ctx: ctx, req: req, header: header, bodies: bodies}
	for {
		c, err := call.connection()
		if err != nil {
			return nil, err
		}
		body := bodies.next()
		if c == nil {
			return h.sendPlain(ctx, req, target, body)
		}
		resp, err := call.attempt(c, body)
		if err == nil {
			h.works()
			if h.follows && isRedirect(resp.StatusCode) {
				req.again = bodies.whole(req.ContentLength)
			}
			return resp, nil
		}
		if !call.mayTryAgain(err) {
			if ctx.Err() != nil {
				err = contextError(ctx)
			}
			return nil, err
		}
	}
}

// sendPlain sends a request over HTTP/1.1.
func (h *http2) sendPlain(ctx context.Context, req *Request, target string, body io.Reader) (*http.Response, error) {
	plain := *req
	plain.Body = body
	resp, err := h.host.send(ctx, &plain, target)
	req.again = plain.again
	if err == nil {
		h.works()
	}
	return resp, err
}

// http2Call is a call on its way to an answer.
type http2Call struct {
	*http2

	ctx    context.Context //nolint:containedctx // it is the call's own: the one Send was called with
	req    *Request
	header *http2Header
	bodies *replay

	attempts, dials, refusals int
	repeated                  bool  // although it may have been processed
	last                      error // of the last attempt
}

// attempt sends the request on a connection.
func (a *http2Call) attempt(c *http2Conn, body io.Reader) (*http.Response, error) {
	a.attempts++
	s, rest, err := c.open(a.ctx, a.req, a.header, body)
	if err != nil {
		closeBody(body)
		a.last = a.host.upstreamError(err)
		return nil, a.last
	}
	if rest != nil {
		go s.upload(rest, a.header)
	}
	resp, err := s.await()
	if err != nil {
		s.unwatch()
		a.last = s.headError(err)
		return nil, a.last
	}
	if resp.Body == http.NoBody {
		s.close() // an upload goes no further
	} else {
		resp.Body = s
	}
	return resp, nil
}

// mayTryAgain reports whether the call may be sent again after it failed, and waits
// until it should.
func (a *http2Call) mayTryAgain(err error) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok || a.attempts >= maxAttempts || a.ctx.Err() != nil || !a.bodies.isWhole() {
		return false
	}
	if !failure.Unprocessed {
		// As over HTTP/1.1, but for POST: an upstream that closes a connection tells what
		// it has not processed.
		again := failure.closing && !a.repeated && a.req.isIdempotent()
		a.repeated = true
		return again
	}
	if failure.refused {
		if a.refusals++; a.refusals > maxRefusals {
			return false
		}
		if a.refusals > 1 {
			timer := time.NewTimer(refusalPause << (a.refusals - 2))
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
func (a *http2Call) connection() (*http2Conn, error) {
	h := a.http2
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
		if len(h.conns) == 0 && h.plain && h.host.pool.isKept() {
			h.mu.Unlock()
			return nil, nil //nolint:nilnil // as said
		}
		if a.dials >= maxDials {
			h.mu.Unlock()
			return nil, a.exhausted()
		}
		a.dials++
		d := h.dial(a.ctx)
		h.mu.Unlock()
		if c, plain, err := h.wait(a.ctx, d); c != nil || plain || err != nil {
			return c, err
		}
	}
}

// exhausted is the error of a call that was given no connection that took it.
func (a *http2Call) exhausted() error {
	if a.last != nil {
		return a.last
	}
	failed := a.host.newError(KindClosed, fmt.Sprintf("%d connections took no request", maxDials))
	failed.Unprocessed = true
	return failed
}

// dial begins to connect for those who found no room, or joins those who wait for
// that. mu is held.
func (h *http2) dial(ctx context.Context) *http2Dial {
	for _, d := range h.dials {
		if d.waiting < d.room {
			d.waiting++
			return d
		}
	}
	shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &http2Dial{done: make(chan struct{}), cancel: cancel, room: h.streams, waiting: 1}
	if d.room == 0 {
		d.room = math.MaxInt // the connection will tell
	}
	h.dials = append(h.dials, d)
	go func() {
		defer cancel()
		defer close(d.done)
		var c *http2Conn
		c, d.plain, d.err = h.connect(shared)
		h.finishDial(d, c)
	}()
	return d
}

// finishDial gives the connection that was made, if any, to those who wait for it.
func (h *http2) finishDial(d *http2Dial, c *http2Conn) {
	h.mu.Lock()
	h.dropDial(d)
	if c == nil {
		h.mu.Unlock()
		return
	}
	h.conns, h.plain, h.streams = append(h.conns, c), false, c.streamLimit()
	h.kept.Add(1)
	if d.places = c.reserve(d.waiting); d.places > 0 {
		d.conn = c
	}
	useless := h.streams == 0
	h.mu.Unlock()
	switch {
	case c.isClosing(): // it may have been forgotten before it was known
		h.forget(c)
	case useless:
		c.retire(errRetired, maxWindow)
	}
}

// dropDial has nobody join an attempt to connect any more. mu is held.
func (h *http2) dropDial(d *http2Dial) {
	h.dials = slices.DeleteFunc(h.dials, func(other *http2Dial) bool { return other == d })
}

// wait waits for a connection, which the last one who doesn't gives up. It returns
// the connection with a reservation, or none if there was no place left, and reports
// whether the connection speaks HTTP/1.1.
func (h *http2) wait(ctx context.Context, d *http2Dial) (c *http2Conn, plain bool, err error) {
	select {
	case <-d.done:
		plain, err = d.plain, d.err
	case <-ctx.Done():
		err = contextError(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && d.places > 0 {
		d.places--
		c = d.conn
	}
	if d.waiting--; d.waiting > 0 {
		return c, plain, err
	}
	d.cancel()
	h.dropDial(d)
	if d.places > 0 { // of those who didn't wait
		d.conn.release(d.places)
		d.places = 0
	}
	return c, plain, err
}

// connect makes a connection. Without an error it may return none: the host prefers
// HTTP/1.1, in which case plain is set.
func (h *http2) connect(ctx context.Context) (c *http2Conn, plain bool, err error) {
	network, err := h.dialer.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	if secured, ok := network.(*tls.Conn); !ok || secured.ConnectionState().NegotiatedProtocol != "h2" {
		h.keepPlain(network)
		return nil, true, nil
	}
	c = newHTTP2Conn(h.host, network, h.keepAlive, h.forget, h.crowded)
	timer := time.NewTimer(h.timeout)
	defer timer.Stop()
	select {
	case <-c.settled:
	case <-c.done:
	case <-timer.C:
		c.fail(silent(KindConnect, "no HTTP/2 settings in %v", h.timeout), 0)
	case <-ctx.Done():
		c.fail(errRetired, 0)
		return nil, false, contextError(ctx)
	}
	if err := h.unsettled(c); err != nil {
		return nil, false, err
	}
	return c, false, nil
}

// unsettled returns why a connection ended before there were settings, nil if there
// are. Nothing was sent on it.
func (h *http2) unsettled(c *http2Conn) error {
	select {
	case <-c.settled:
		return nil
	default:
	}
	fault := *c.ended()
	if fault.kind == KindClosed {
		fault.kind = KindConnect
	}
	fault.unprocessed = true
	return h.host.upstreamError(&fault)
}

// keepPlain keeps a connection for HTTP/1.1, which the host prefers.
func (h *http2) keepPlain(network net.Conn) {
	c := newConn(network)
	c.leave, c.writer.timeout = h.host.enter(), h.host.stallTimeout
	h.host.pool.put(c)
	h.mu.Lock()
	h.plain = true
	h.mu.Unlock()
}

// crowded reports whether there are more connections than may be kept. The one that
// asks is not kept then.
func (h *http2) crowded() bool {
	for {
		n := h.kept.Load()
		if n <= int64(h.host.pool.maxIdle) {
			return false
		}
		if h.kept.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// forget has a connection get no more requests.
func (h *http2) forget(c *http2Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := len(h.conns)
	h.conns = slices.DeleteFunc(h.conns, func(other *http2Conn) bool { return other == c })
	if len(h.conns) < known && !c.isSurplus() {
		h.kept.Add(-1)
	}
	if fault := c.ended(); fault != nil && fault.unsound {
		h.failed++
		h.fault, h.at = fault, time.Now()
	}
}

// readyTime is for how long connections that failed count against a host.
const readyTime = 30 * time.Second

// ready returns why the host should be sent nothing: the connections to it keep
// failing, by violations of the protocol or by silence, and no call gets through. It
// is asked again after some time.
func (h *http2) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed < maxDials || time.Since(h.at) > readyTime {
		return nil
	}
	return fmt.Errorf("upstream %s: %d connections over HTTP/2 failed, the last one: %w", h.host.authority, h.failed, h.fault)
}

// works notes that a connection gave an answer.
func (h *http2) works() {
	h.mu.Lock()
	h.failed = 0
	h.mu.Unlock()
}
