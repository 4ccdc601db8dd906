package server

import (
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
)

// partingTime bounds for how long a connection of HTTP/2 that is closed goes on
// sending what was written to it before.
const partingTime = time.Second

// fullEvery is how often it is logged that there are too many connections.
const fullEvery = time.Minute

// connections is a listener that bounds how many connections are open at a time,
// and for how long a client may take nothing of what is written to one.
type connections struct {
	net.Listener

	stall  time.Duration
	maxAge time.Duration // of a connection, at which its client is to begin another; zero for none
	slots  chan struct{} // holds one for every connection
	logger *slog.Logger
	logged time.Time // when it was that slots were full
	began  time.Time

	waiting   atomic.Bool // for a slot
	cutting   atomic.Bool // calls are cut off
	closed    chan struct{}
	closeOnce func() error

	held *held

	mu      sync.Mutex
	open    map[*connection]struct{} // guarded by mu
	parting int                      // guarded by mu: connections that are closed but for what they still send
	parted  sync.Cond                // one of them less
}

func newConnections(listener net.Listener, limits Limits, logger *slog.Logger) *connections {
	closed := make(chan struct{})
	l := &connections{
		Listener: listener,
		stall:    limits.StallTimeout,
		slots:    make(chan struct{}, limits.MaxConnections),
		logger:   logger,
		began:    time.Now(),
		closed:   closed,
		closeOnce: sync.OnceValue(func() error {
			close(closed)
			return listener.Close()
		}),
		held: new(held),
		open: make(map[*connection]struct{}),
	}
	l.parted.L = &l.mu
	return l
}

// Accept implements [net.Listener]. A connection that is one too many waits
// here, and those behind it in the kernel's queue.
func (l *connections) Accept() (net.Conn, error) {
	network, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	default:
		if !l.waitForSlot() {
			_ = network.Close()
			return nil, net.ErrClosed
		}
	}
	c := &connection{Conn: network, listener: l}
	c.reader.Conn = network
	if l.maxAge > 0 {
		c.oldFrom = l.now() + int64(spread(l.maxAge))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	l.held.connections.Add(1)
	return c, nil
}

// waitForSlot takes a slot, and has one freed if it can. It returns false if the
// listener is closed before.
func (l *connections) waitForSlot() bool {
	if now := time.Now(); now.Sub(l.logged) >= fullEvery {
		l.logged = now
		l.logger.Warn("too many connections: new ones wait, and idle ones are closed", "limit", cap(l.slots))
	}
	l.waiting.Store(true)
	defer l.waiting.Store(false)
	l.closeIdlest()
	select {
	case l.slots <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

// closeIdlest closes the connection that has been idle for the longest time.
func (l *connections) closeIdlest() {
	var idlest *connection
	least := int64(0)
	l.mu.Lock()
	for c := range l.open {
		if since := c.idleSince.Load(); since != 0 && (least == 0 || since < least) {
			idlest, least = c, since
		}
	}
	l.mu.Unlock()
	if idlest != nil && idlest.idleSince.CompareAndSwap(least, 0) { // it is idle still
		_ = idlest.Close()
	}
}

// Close implements [net.Listener].
func (l *connections) Close() error { return l.closeOnce() }

// cutTimeout is how long connections may take to say goodbye when calls are cut off.
// Over TLS a client that reads nothing delays that for five seconds, and those
// behind it.
const cutTimeout = time.Second

// cut calls what closes all connections of a server. Those that are still open when
// cutTimeout has passed are reset.
func (l *connections) cut(closeAll func() error) error {
	l.cutUnended()
	closed := make(chan error, 1)
	go func() { closed <- closeAll() }()
	timer := time.NewTimer(cutTimeout)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
	}
	l.mu.Lock()
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	for _, c := range open {
		c.cut()
	}
	timer.Reset(cutTimeout)
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return nil
	}
}

// waitForParting returns when connections that are closed have sent what was
// written to them before, or their time to do so has passed.
func (l *connections) waitForParting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.parting > 0 {
		l.parted.Wait()
	}
}

// noteState is told of the state of connections as [http.Server.ConnState] is.
func (l *connections) noteState(network net.Conn, state http.ConnState) {
	c := connectionOf(network)
	if c == nil {
		return
	}
	if state == http.StateIdle || state == http.StateHijacked {
		c.endLimit() // of a body that was left
	}
	if state != http.StateIdle {
		c.idleSince.Store(0)
		return
	}
	c.idleSince.Store(l.now())
	if l.waiting.Load() {
		_ = c.Close()
	}
}

// connectionOf returns what is beneath a connection of the [http.Server], nil if
// that is something else.
func connectionOf(network net.Conn) *connection {
	for { // beneath TLS, and the PROXY protocol
		above, ok := network.(interface{ NetConn() net.Conn })
		if !ok {
			c, _ := network.(*connection)
			return c
		}
		network = above.NetConn()
	}
}

// now is a time that can be kept in an atomic variable. It is never zero.
func (l *connections) now() int64 { return int64(time.Since(l.began)) + 1 }

// connection is a connection with a client. A client that takes nothing of what
// is written to it loses it.
type connection struct {
	net.Conn

	listener  *connections
	gone      atomic.Bool
	idleSince atomic.Int64 // 0 if it isn't
	oldFrom   int64        // 0 for never

	reader  deadline.Reader
	lengths lengths
	stalled atomic.Bool // a body that was awaited did not come within the limit

	// armed is until when a write may last, by a deadline that Write has set:
	// one that outlasts several writes, as most of them need none. While
	// somebody else has set a deadline it is theirs.
	armed    atomic.Int64
	theirs   atomic.Bool
	deadline sync.Mutex // held by who sets the one of writes

	frames atomic.Pointer[gathering] // nil for HTTP/1.1

	unended atomic.Bool // its end would be taken for the end of an answer
}

// isOld reports whether the client is to begin another connection.
func (c *connection) isOld() bool { return c.oldFrom != 0 && c.listener.now() >= c.oldFrom }

// gather has the connection gather what is written from now on. It takes effect
// between two writes, which HTTP/2 and TLS make one after another.
func (c *connection) gather() {
	if c.frames.Load() == nil {
		c.frames.CompareAndSwap(nil, newGathering(c.write))
	}
}

// Read implements [net.Conn].
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	if c.frames.Load() == nil {
		c.lengths.scan(p[:max(n, 0)])
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) && c.reader.LimitPassed() {
		c.stalled.Store(true) // before net/http learns of it, which takes such a client for one that left
	}
	return n, err
}

// limitReading has reads fail that wait for longer than limit from now on.
func (c *connection) limitReading(limit time.Duration) { _ = c.reader.Limit(time.Now().Add(limit)) }

// endLimit takes it back.
func (c *connection) endLimit() { _ = c.reader.Limit(time.Time{}) }

// SetReadDeadline implements [net.Conn].
func (c *connection) SetReadDeadline(t time.Time) error { return c.reader.Set(t) }

// Write implements [net.Conn].
func (c *connection) Write(p []byte) (int, error) {
	if frames := c.frames.Load(); frames != nil {
		return frames.Write(p)
	}
	return c.write(p)
}

// write goes on for as long as the client takes something, however slowly.
func (c *connection) write(p []byte) (int, error) {
	for sent := 0; ; {
		c.arm()
		n, err := c.Conn.Write(p[sent:])
		sent += n
		if err == nil || c.theirs.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
		if n == 0 {
			c.reset()
			return sent, err
		}
	}
}

// arm sees to it that a write that begins now may last as long as the limit.
func (c *connection) arm() {
	stall := int64(c.listener.stall)
	if now := c.listener.now(); c.armed.Load()-now < stall && !c.theirs.Load() {
		c.deadline.Lock()
		defer c.deadline.Unlock()
		if c.theirs.Load() {
			return
		}
		lasts := stall + stall/4
		c.armed.Store(now + lasts)
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Duration(lasts)))
	}
}

// reset closes the connection, and has the kernel forget what it still holds to
// be sent.
func (c *connection) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// cut closes the network connection under callers that are about to close it.
func (c *connection) cut() {
	_ = c.SetLinger(0)
	_ = c.Conn.Close()
}

// SetLinger says, as [net.TCPConn.SetLinger] does, what becomes of unsent data when
// the connection is closed. After 0 the close is a reset.
func (c *connection) SetLinger(seconds int) error {
	if system, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return system.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}

// SetWriteDeadline implements [net.Conn], but that what was gathered is sent when
// the deadline has passed: crypto/tls sets such a one behind the last record.
func (c *connection) SetWriteDeadline(deadline time.Time) error {
	if frames := c.frames.Load(); frames != nil && !deadline.IsZero() && !deadline.After(time.Now()) {
		frames.refuse(os.ErrDeadlineExceeded)
		return nil
	}
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if deadline.IsZero() && !c.theirs.Load() {
		return nil // there is none but Write's own
	}
	c.theirs.Store(!deadline.IsZero())
	c.armed.Store(0)
	return c.Conn.SetWriteDeadline(deadline)
}

// SetDeadline implements [net.Conn].
func (c *connection) SetDeadline(deadline time.Time) error {
	return errors.Join(c.SetReadDeadline(deadline), c.SetWriteDeadline(deadline))
}

// CloseWrite ends the server's side alone, behind what was written before.
func (c *connection) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	if frames := c.frames.Load(); frames != nil {
		frames.finish(func() { _ = half.CloseWrite() })
		return nil
	}
	return half.CloseWrite()
}

// Close implements [net.Conn]. It doesn't wait for what was gathered, which is
// sent still.
func (c *connection) Close() error {
	if !c.gone.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	if c.unended.Load() {
		_ = c.SetLinger(0)
	}
	frames := c.frames.Load()
	if frames == nil {
		return c.leave()
	}
	l := c.listener
	l.mu.Lock()
	l.parting++
	l.mu.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(partingTime))
	frames.finish(func() {
		_ = c.leave()
		l.mu.Lock()
		l.parting--
		l.mu.Unlock()
		l.parted.Broadcast()
	})
	return nil
}

// leave frees what the connection takes.
func (c *connection) leave() error {
	err := c.Conn.Close()
	l := c.listener
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	l.held.connections.Add(-1)
	<-l.slots
	return err
}
