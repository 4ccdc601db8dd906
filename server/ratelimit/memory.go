package ratelimit

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Memory counts in this process. It checks and counts all scopes of a request in one
// step. The zero value is ready for use.
type Memory struct {
	mu      sync.Mutex
	windows map[windowID]*window           // guarded by mu: the current windows, and some expired ones
	sweepAt int                            // guarded by mu: the number of windows at which expired ones are deleted
	streams map[string]map[uint64]struct{} // guarded by mu: the open streams of each scope

	lastStream atomic.Uint64
}

type windowID struct {
	scope string
	kind  Kind
}

type window struct {
	end  time.Time
	used int64
}

// NewMemory returns a limiter that counts in this process.
func NewMemory() *Memory { return new(Memory) }

// Admit implements [Limiter].
func (m *Memory) Admit(_ context.Context, scopes []Scope, stream bool) *Decision {
	counters := countersOf(scopes, stream)
	if len(counters) == 0 {
		return new(Decision)
	}
	id := m.lastStream.Add(1)
	d := m.admit(counters, id, 1)
	if d.Rejection == nil {
		d.end = func(tokens int64) { m.end(counters, id, tokens) }
	}
	return d
}

// Stats implements [Limiter].
func (m *Memory) Stats() Stats { return Stats{Instances: 1} }

// Close implements [Limiter].
func (m *Memory) Close() error { return nil }

// admit checks a request against this instance's share of the limits, as one of n
// instances, and counts it if it is admitted.
func (m *Memory) admit(counters []counter, stream uint64, n int64) *Decision {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	var space [8]count
	counts := space[:0]
	for i := range counters {
		c := &counters[i]
		if c.kind == ConcurrentStreams {
			counts = append(counts, count{used: int64(len(m.streams[c.scope]))})
			continue
		}
		w := m.window(c, now)
		counts = append(counts, count{w.used, w.end.Sub(now)})
	}
	d := decide(counters, counts, n)
	if d.Rejection == nil {
		m.addLocked(counters, stream, now)
	}
	return d
}

// add counts a request that was admitted.
func (m *Memory) add(counters []counter, stream uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(counters, stream, time.Now())
}

// addLocked is add with m.mu held.
func (m *Memory) addLocked(counters []counter, stream uint64, now time.Time) {
	for i := range counters {
		switch c := &counters[i]; c.kind {
		case RequestsPerMinute:
			m.window(c, now).used++
		case ConcurrentStreams:
			if m.streams == nil {
				m.streams = make(map[string]map[uint64]struct{})
			}
			if m.streams[c.scope] == nil {
				m.streams[c.scope] = make(map[uint64]struct{})
			}
			m.streams[c.scope][stream] = struct{}{}
		default: // Tokens are counted at the end.
		}
	}
}

// end counts the tokens of a request and closes its stream.
func (m *Memory) end(counters []counter, stream uint64, tokens int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for i := range counters {
		switch c := &counters[i]; {
		case c.kind == ConcurrentStreams:
			delete(m.streams[c.scope], stream)
			if len(m.streams[c.scope]) == 0 {
				delete(m.streams, c.scope)
			}
		case c.kind.countsTokens() && tokens > 0:
			w := m.window(c, now)
			w.used += min(tokens, math.MaxInt64-w.used)
		default:
		}
	}
}

// openStreams returns the open streams of each scope.
func (m *Memory) openStreams() map[string][]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := make(map[string][]uint64, len(m.streams))
	for scope, streams := range m.streams {
		for stream := range streams {
			open[scope] = append(open[scope], stream)
		}
	}
	return open
}

// isOpen reports whether a stream of a scope is open.
func (m *Memory) isOpen(scope string, stream uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, open := m.streams[scope][stream]
	return open
}

// minSweep is the minimum number of windows at which expired ones are deleted.
const minSweep = 64

// window returns the current window of a counter. It creates one if the previous one has
// expired. It also deletes expired windows whenever the number of windows has doubled.
// The caller holds m.mu.
func (m *Memory) window(c *counter, now time.Time) *window {
	id := windowID{c.scope, c.kind}
	if w := m.windows[id]; w != nil && now.Before(w.end) {
		return w
	}
	if len(m.windows) >= m.sweepAt {
		for id, w := range m.windows {
			if !now.Before(w.end) {
				delete(m.windows, id)
			}
		}
		m.sweepAt = max(minSweep, 2*len(m.windows))
	}
	if m.windows == nil {
		m.windows = make(map[windowID]*window)
	}
	w := &window{end: now.Add(c.kind.window())}
	m.windows[id] = w
	return w
}
