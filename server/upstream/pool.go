package upstream

import (
	"context"
	"sync"
	"time"
)

const (
	// idleTimeout is shorter than the 75 seconds after which nginx and many
	// others close an idle connection, so that we are the first to.
	idleTimeout = 60 * time.Second

	// maxAge is how old a connection may be when it is used again. Without it
	// one that is busy would never see that the name has other addresses now.
	maxAge = 10 * time.Minute
)

// pool keeps the connections to one host that no request is using.
type pool struct {
	dial    func(ctx context.Context) (*conn, error)
	maxIdle int

	mu     sync.Mutex
	idle   []*conn     // guarded by mu; the last one was used last
	expire *time.Timer // guarded by mu; nil unless connections are idle
}

// get returns a connection to send a request on: one that has been used, if it
// is still good, or else, or if fresh is asked for, a new one.
func (p *pool) get(ctx context.Context, fresh bool) (*conn, error) {
	for !fresh {
		c := p.take()
		if c == nil {
			break
		}
		if time.Since(c.born) <= maxAge && c.isQuiet() {
			c.used = true
			return c, nil
		}
		_ = c.Close()
	}
	return p.dial(ctx)
}

// isKept reports whether a connection is kept.
func (p *pool) isKept() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) > 0
}

// take returns the idle connection that was used last, nil if there is none.
func (p *pool) take() *conn {
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

// put keeps a connection for the next request.
func (p *pool) put(c *conn) {
	now := time.Now()
	if now.Sub(c.born) > maxAge || !p.keep(c, now) {
		_ = c.Close()
	}
}

func (p *pool) keep(c *conn, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.maxIdle {
		return false
	}
	c.idleSince = now
	p.idle = append(p.idle, c)
	if p.expire == nil {
		p.expire = time.AfterFunc(idleTimeout, p.closeExpired)
	}
	return true
}

// closeExpired closes what has been idle for too long, and comes back for the
// rest.
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
	p.expire = nil
	if n > 0 {
		p.expire = time.AfterFunc(idleTimeout-now.Sub(p.idle[0].idleSince), p.closeExpired)
	}
}

// closeIdle closes the connections that no request is using.
func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
	if p.expire != nil {
		p.expire.Stop()
		p.expire = nil
	}
}
