package failover

import (
	"sync"
	"time"
)

// cooldown is the time during which an upstream is skipped.
type cooldown struct {
	mu    sync.Mutex
	until time.Time // guarded by mu; zero if the upstream is healthy
}

// permit is the state of a cooldown as one attempt has seen it.
type permit struct {
	until time.Time
	probe bool // the attempt is the first after a cooldown, and others wait for its outcome
}

// acquire reports whether a request may be sent to the upstream. After a cooldown the
// first request is the probe, and the cooldown is extended for the others, so that they
// don't wait for an upstream that is still unavailable.
func (c *cooldown) acquire(now time.Time, extension time.Duration) (permit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.until.IsZero():
		return permit{}, true
	case now.Before(c.until):
		return permit{until: c.until}, false
	default:
		c.until = now.Add(extension)
		return permit{until: c.until, probe: true}, true
	}
}

// markFailed starts a cooldown, or extends it.
func (c *cooldown) markFailed(now time.Time, length time.Duration) permit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := now.Add(length); until.After(c.until) {
		c.until = until
	}
	return permit{until: c.until}
}

// markHealthy ends the cooldown, unless the upstream has failed since the permit.
func (c *cooldown) markHealthy(p permit) { c.replace(p, time.Time{}) }

// releaseProbe lets another request be the probe.
func (c *cooldown) releaseProbe(p permit, now time.Time) {
	if p.probe {
		c.replace(p, now)
	}
}

func (c *cooldown) replace(p permit, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.Equal(p.until) {
		c.until = until
	}
}
