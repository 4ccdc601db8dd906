package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// model is a simple limiter for comparison. It records all uses, and the start of each
// window.
type model struct {
	began map[string][]time.Time
	used  map[string][]entry
	open  map[string]int64
}

type entry struct {
	at time.Time
	n  int64
}

// count returns the use in the current window, and the end of the window.
func (m *model) count(scope string, kind ratelimit.Kind, now time.Time) (count int64, end time.Time) {
	length := time.Minute
	if kind == ratelimit.TokensPerDay {
		length = 24 * time.Hour
	}
	key := scope + string(kind)
	if n := len(m.began[key]); n == 0 || !now.Before(m.began[key][n-1].Add(length)) {
		m.began[key] = append(m.began[key], now)
	}
	begin := m.began[key][len(m.began[key])-1]
	for _, u := range m.used[key] {
		if !u.at.Before(begin) {
			count += u.n
		}
	}
	return count, begin.Add(length)
}

func (m *model) add(scope string, kind ratelimit.Kind, n int64) {
	m.count(scope, kind, time.Now())
	key := scope + string(kind)
	m.used[key] = append(m.used[key], entry{time.Now(), n})
}

// each calls f for each limit of the scopes.
func each(scopes []ratelimit.Scope, f func(scope string, kind ratelimit.Kind, limit int64)) {
	for _, s := range scopes {
		for kind, limit := range map[ratelimit.Kind]int64{
			ratelimit.RequestsPerMinute: s.Limits.RequestsPerMinute,
			ratelimit.TokensPerMinute:   s.Limits.TokensPerMinute,
			ratelimit.TokensPerDay:      s.Limits.TokensPerDay,
			ratelimit.ConcurrentStreams: s.Limits.ConcurrentStreams,
		} {
			if limit > 0 {
				f(s.Name, kind, limit)
			}
		}
	}
}

// admit checks and counts a request. It returns a description of the decision.
func (m *model) admit(scopes []ratelimit.Scope, stream bool) string {
	now := time.Now()
	var wait time.Duration
	each(scopes, func(scope string, kind ratelimit.Kind, limit int64) {
		if kind == ratelimit.ConcurrentStreams {
			if stream && m.open[scope] >= limit {
				wait = max(wait, time.Second)
			}
		} else if count, end := m.count(scope, kind, now); count >= limit {
			wait = max(wait, end.Sub(now))
		}
	})
	if wait > 0 {
		return fmt.Sprintf("rejected for %v", wait)
	}
	left := map[bool]int64{false: -1, true: -1}
	each(scopes, func(scope string, kind ratelimit.Kind, limit int64) {
		switch kind {
		case ratelimit.ConcurrentStreams:
			if stream {
				m.open[scope]++
			}
			return
		case ratelimit.RequestsPerMinute:
			m.add(scope, kind, 1)
		default:
		}
		count, _ := m.count(scope, kind, now)
		tokens := kind != ratelimit.RequestsPerMinute
		if left[tokens] < 0 || limit-count < left[tokens] {
			left[tokens] = limit - count
		}
	})
	return fmt.Sprintf("admitted, %d and %d remain", left[false], left[true])
}

func (m *model) end(scopes []ratelimit.Scope, streams bool, tokens int64) {
	each(scopes, func(scope string, kind ratelimit.Kind, _ int64) {
		switch {
		case kind == ratelimit.ConcurrentStreams && streams:
			m.open[scope]--
		case kind == ratelimit.ConcurrentStreams || kind == ratelimit.RequestsPerMinute:
		case tokens > 0:
			m.add(scope, kind, tokens)
		default:
		}
	})
}

// describe returns the description of a decision, in the format of the model.
func describe(d *ratelimit.Decision) string {
	if r := d.Rejection; r != nil {
		return fmt.Sprintf("rejected for %v", r.RetryAfter)
	}
	requests, tokens := int64(-1), int64(-1)
	if s := d.States.Requests; s != nil {
		requests = s.Remaining
	}
	if s := d.States.Tokens; s != nil {
		tokens = s.Remaining
	}
	return fmt.Sprintf("admitted, %d and %d remain", requests, tokens)
}

func TestMemory_MatchesASimpleModel(t *testing.T) {
	const seeds, steps = 200, 400
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			few := func() int64 { return random.Int64N(6) }
			var all []ratelimit.Scope
			for i := range 3 {
				all = append(all, ratelimit.Scope{Name: fmt.Sprint("scope ", i), Limits: ratelimit.Limits{
					RequestsPerMinute: few() * 2, TokensPerMinute: few() * 20, TokensPerDay: few() * 2000, ConcurrentStreams: few(),
				}})
			}
			type running struct {
				d       *ratelimit.Decision
				scopes  []ratelimit.Scope
				streams bool
			}
			var open []running
			l := ratelimit.NewMemory()
			m := &model{began: map[string][]time.Time{}, used: map[string][]entry{}, open: map[string]int64{}}
			for step := range steps {
				switch random.IntN(4) {
				case 0:
					time.Sleep(time.Duration(random.Int64N(int64(30 * time.Second))))
				case 1:
					if len(open) > 0 {
						i, tokens := random.IntN(len(open)), random.Int64N(30)
						open[i].d.End(tokens)
						m.end(open[i].scopes, open[i].streams, tokens)
						open = append(open[:i], open[i+1:]...)
					}
				default:
					from := random.IntN(len(all))
					scopes, streams := all[from:from+1+random.IntN(len(all)-from)], random.IntN(2) == 0
					want := m.admit(scopes, streams)
					d := l.Admit(t.Context(), scopes, streams)
					if got := describe(d); got != want {
						t.Fatalf("seed %d, step %d: %s, want %s", seed, step, got, want)
					}
					if d.Rejection == nil {
						open = append(open, running{d, scopes, streams})
					}
				}
			}
		})
	}
}
