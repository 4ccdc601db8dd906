package failover

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// cooldown is until when an upstream is passed over.
type cooldown struct {
	mu    sync.Mutex
	until time.Time // guarded by mu; zero if it works
}

// pass is what a try knows of the cooldown of the upstream that it asks.
type pass struct {
	until time.Time
	first bool // it is the first behind a cooldown, and the others wait for it
}

// enter reports whether the upstream may be asked. Of all that come when its
// cooldown is over, the first may; for the others it is put off, lest all of them
// wait for one that is still down.
func (c *cooldown) enter(now time.Time, putOff time.Duration) (pass, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.until.IsZero():
		return pass{}, true
	case now.Before(c.until):
		return pass{until: c.until}, false
	default:
		c.until = now.Add(putOff)
		return pass{until: c.until, first: true}, true
	}
}

// failed has the upstream passed over for some time at least.
func (c *cooldown) failed(now time.Time, length time.Duration) pass {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := now.Add(length); until.After(c.until) {
		c.until = until
	}
	return pass{until: c.until}
}

// answered says that the upstream works, unless it has failed in the meantime.
func (c *cooldown) answered(p pass) { c.replace(p, time.Time{}) }

// undecided lets another one be the first.
func (c *cooldown) undecided(p pass, now time.Time) {
	if p.first {
		c.replace(p, now)
	}
}

func (c *cooldown) replace(p pass, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.Equal(p.until) {
		c.until = until
	}
}

// retryAfter is how long an answer asks to wait, up to [MaxCooldown], and 0 if it
// doesn't: in milliseconds, as OpenAI sends them, in seconds, or until a date (RFC
// 9110 §10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	if wait, ok := parseWait(header.Get("Retry-After-Ms"), time.Millisecond); ok {
		return wait
	}
	text := header.Get("Retry-After")
	if wait, ok := parseWait(text, time.Second); ok {
		return wait
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxCooldown)
}

// parseWait reads a number of units.
func parseWait(text string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	return time.Duration(min(n*float64(unit), float64(MaxCooldown))), true
}
