package httpserver

import (
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// closeGrace bounds the time that a closed HTTP/2 connection spends on sending
	// what was written before.
	closeGrace = time.Second

	// abortTimeout bounds the closing handshakes of connections whose requests are
	// aborted. Over TLS a client that reads nothing delays its own close, and all later
	// ones, for five seconds.
	abortTimeout = time.Second

	// fullLogInterval is the interval between log messages about too many connections.
	fullLogInterval = time.Minute
)

// limitListener is a listener that limits the number of open connections. Its
// connections are of type [*clientConn].
type limitListener struct {
	net.Listener

	stallTimeout time.Duration
	maxAge       time.Duration // of a connection; zero for no limit
	stats        *stats
	logger       *slog.Logger
	loggedFull   time.Time
	started      time.Time

	slots     chan struct{} // has one element for each open connection
	waiting   atomic.Bool   // for a slot
	aborting  atomic.Bool   // set when the requests in progress are aborted
	closed    chan struct{}
	closeOnce func() error

	mu           sync.Mutex
	open         map[*clientConn]struct{} // guarded by mu
	closing      int                      // guarded by mu: connections that are closed but still sending
	closingEnded sync.Cond                // signals that closing has decreased
}

func newLimitListener(listener net.Listener, options Options, stats *stats, logger *slog.Logger) *limitListener {
	closed := make(chan struct{})
	l := &limitListener{
		Listener:     listener,
		stallTimeout: options.StallTimeout,
		maxAge:       options.MaxConnectionAge,
		stats:        stats,
		logger:       logger,
		started:      time.Now(),
		slots:        make(chan struct{}, options.MaxConnections),
		closed:       closed,
		closeOnce: sync.OnceValue(func() error {
			close(closed)
			return listener.Close()
		}),
		open: make(map[*clientConn]struct{}),
	}
	l.closingEnded.L = &l.mu
	return l
}

// Accept implements [net.Listener]. At the limit, an accepted connection waits here
// for a slot, and later ones wait in the kernel's queue.
func (l *limitListener) Accept() (net.Conn, error) {
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
	c := newClientConn(network, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	l.stats.connections.Add(1)
	return c, nil
}

// waitForSlot takes a slot, closing an idle connection if there is one. It returns
// false if the listener is closed first.
func (l *limitListener) waitForSlot() bool {
	if now := time.Now(); now.Sub(l.loggedFull) >= fullLogInterval {
		l.loggedFull = now
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
func (l *limitListener) closeIdlest() {
	var idlest *clientConn
	least := int64(0)
	l.mu.Lock()
	for c := range l.open {
		if since := c.idleSince.Load(); since != 0 && (least == 0 || since < least) {
			idlest, least = c, since
		}
	}
	l.mu.Unlock()
	if idlest != nil && idlest.idleSince.CompareAndSwap(least, 0) { // it is still idle
		_ = idlest.Close()
	}
}

// Close implements [net.Listener].
func (l *limitListener) Close() error { return l.closeOnce() }

// abort closes all connections of a server by calling closeAll. It resets
// connections that are still open after abortTimeout.
func (l *limitListener) abort(closeAll func() error) error {
	l.resetUnfinished()
	closed := make(chan error, 1)
	go func() { closed <- closeAll() }()
	timer := time.NewTimer(abortTimeout)
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
		c.resetNetwork()
	}
	timer.Reset(abortTimeout)
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return nil
	}
}

// waitForClosing waits until closed connections have sent what was written before,
// or closeGrace has passed.
func (l *limitListener) waitForClosing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.closing > 0 {
		l.closingEnded.Wait()
	}
}

// connState is the [http.Server.ConnState] hook.
func (l *limitListener) connState(network net.Conn, state http.ConnState) {
	c := clientConnOf(network)
	if c == nil {
		return
	}
	if state == http.StateIdle || state == http.StateHijacked {
		c.clearReadLimit() // of a body that was not read to its end
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

// now returns the time since the listener started, for use in atomic variables. It is
// never zero.
func (l *limitListener) now() int64 { return int64(time.Since(l.started)) + 1 }
