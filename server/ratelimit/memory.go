package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Memory counts in this process, for as long as it runs. All scopes of a request
// are judged and counted in one step.
//
// It remembers the windows that are open, and at most as many again that are over.
type Memory struct {
	mu      sync.Mutex
	windows windows          // guarded by mu
	streams map[string]int64 // guarded by mu: how many are open in a scope
	decided uint64           // guarded by mu
}

// NewMemory returns a limiter that has counted nothing.
func NewMemory() *Memory { return &Memory{streams: make(map[string]int64)} }

// Admit is [Limiter]'s.
func (m *Memory) Admit(_ context.Context, scopes []Scope, streams bool) Decision {
	all := counters(scopes, streams)
	if len(all) == 0 {
		return new(decision)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decided++
	now := time.Now()
	if v := m.judge(all, now); v.refusal != nil {
		return &decision{verdict: v}
	}
	for _, c := range all {
		switch c.kind {
		case RequestsPerMinute:
			w, _ := m.windows.at(c, now)
			w.count++
		case ConcurrentStreams:
			m.streams[c.scope]++
		default: // Tokens are counted at the end.
		}
	}
	return &decision{verdict: m.states(all, now), end: func(tokens int64) { m.end(all, tokens) }}
}

// judge says whether the limits have room for one more. It needs mu.
func (m *Memory) judge(all []counter, now time.Time) (v verdict) {
	for _, c := range all {
		if c.kind == ConcurrentStreams {
			v.note(c, m.streams[c.scope] < c.limit, 0, streamRetry)
			continue
		}
		w, _ := m.windows.at(c, now)
		v.note(c, w.count < c.limit, c.limit-w.count, w.end.Sub(now))
	}
	return v
}

// states says what is left of the limits of a request that was counted. It needs
// mu.
func (m *Memory) states(all []counter, now time.Time) (v verdict) {
	for _, c := range all {
		if c.kind != ConcurrentStreams {
			w, _ := m.windows.at(c, now)
			v.note(c, true, c.limit-w.count, w.end.Sub(now))
		}
	}
	return v
}

// end counts what is known at the end of a request.
func (m *Memory) end(all []counter, tokens int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, c := range all {
		switch {
		case c.kind == ConcurrentStreams:
			if m.streams[c.scope]--; m.streams[c.scope] == 0 {
				delete(m.streams, c.scope)
			}
		case c.kind.tokens() && tokens > 0:
			w, _ := m.windows.at(c, now)
			w.count = plus(w.count, tokens)
		default:
		}
	}
}

// Stats tells what the limiter has done so far.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Instances: 1, Locally: m.decided}
}

// Close is [Limiter]'s. A Memory holds nothing that has to be released.
func (m *Memory) Close() error { return nil }
