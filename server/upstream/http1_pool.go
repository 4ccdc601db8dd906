package upstream

import (
	"context"
	"sync"
	"time"
)

const (
	// idleTimeout is shorter than the 75 seconds after which nginx and many other servers
	// close an idle connection, so that this side closes it first.
	idleTimeout = 60 * time.Second

	// maxAge bounds the age of a connection that is used again. Without it a busy
	// connection would never follow a change of the host's addresses.
	maxAge = 10 * time.Minute
)

// pool holds the idle connections to one host.
type pool struct {
	dial    func(ctx context.Context) (*conn, error)
	maxIdle int

	mu          sync.Mutex
	idle        []*conn     // guarded by mu; the most recently used is last
	expiryTimer *time.Timer // guarded by mu; nil if idle is empty
}

// get returns an idle connection that is still usable, or a new one. With fresh it
// always returns a new one.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		c := p.popIdle()
		if c == nil {
			break
		}
		if time.Since(c.createdAt) <= maxAge && c.isReusable() {
			c.reused = true
			return c, nil
		}
		_ = c.Close()
	}
	return p.dial(ctx)
}

// hasIdle reports whether there is an idle connection.
func (p *pool) hasIdle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) > 0
}

// popIdle removes and returns the most recently used connection, or nil.
func (p *pool) popIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// put keeps a connection for the next request, or closes it.
func (p *pool) put(c *conn) {
	now := time.Now()
	if now.Sub(c.createdAt) > maxAge || !p.add(c, now) {
		_ = c.Close()
	}
}

func (p *pool) add(c *conn, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.maxIdle {
		return false
	}
	c.idleSince = now
	p.idle = append(p.idle, c)
	if p.expiryTimer == nil {
		p.expiryTimer = time.AfterFunc(idleTimeout, p.closeExpired)
	}
	return true
}

// closeExpired closes the connections that were idle for idleTimeout, and schedules itself
// for the others.
func (p *pool) closeExpired() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	expired := 0
	for expired < len(p.idle) && now.Sub(p.idle[expired].idleSince) >= idleTimeout {
		_ = p.idle[expired].Close()
		expired++
	}
	n := copy(p.idle, p.idle[expired:])
	clear(p.idle[n:])
	p.idle = p.idle[:n]
	p.expiryTimer = nil
	if n > 0 {
		p.expiryTimer = time.AfterFunc(idleTimeout-now.Sub(p.idle[0].idleSince), p.closeExpired)
	}
}

// closeIdle closes all idle connections.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
	if p.expiryTimer != nil {
		p.expiryTimer.Stop()
		p.expiryTimer = nil
	}
}
