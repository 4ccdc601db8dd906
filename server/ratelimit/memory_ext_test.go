package ratelimit_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// one returns a single scope.
func one(name string, of ratelimit.Limits) []ratelimit.Scope {
	return []ratelimit.Scope{{Name: name, Limits: of}}
}

// admitted sends a request that must be admitted.
func admitted(tb testing.TB, l ratelimit.Limiter, scopes []ratelimit.Scope, streams bool) *ratelimit.Decision {
	tb.Helper()
	d := l.Admit(tb.Context(), scopes, streams)
	if r := d.Rejection; r != nil {
		tb.Fatalf("the request was rejected: %+v", *r)
	}
	return d
}

// rejected sends a request that must be rejected.
func rejected(tb testing.TB, l ratelimit.Limiter, scopes []ratelimit.Scope, streams bool) ratelimit.Rejection {
	tb.Helper()
	d := l.Admit(tb.Context(), scopes, streams)
	if d.Rejection == nil {
		tb.Fatalf("the request was admitted, with %+v", d.States)
	}
	d.End(1000) // End of a rejected request has no effect.
	return *d.Rejection
}

func TestMemory_WindowBeginsWithItsFirstRequestAndLastsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory()
		scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 2})
		time.Sleep(17 * time.Second)
		d := admitted(t, l, scopes, false)
		if got, want := *d.States.Requests, (ratelimit.State{Limit: 2, Remaining: 1, Reset: time.Minute}); got != want {
			t.Errorf("got state %+v, want %+v", got, want)
		}
		time.Sleep(20 * time.Second)
		admitted(t, l, scopes, false)
		time.Sleep(39 * time.Second)
		if got, want := rejected(t, l, scopes, false), (ratelimit.Rejection{Kind: ratelimit.RequestsPerMinute, Scope: "alice", Limit: 2, RetryAfter: time.Second}); got != want {
			t.Errorf("got rejection %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		d = admitted(t, l, scopes, false)
		if got, want := *d.States.Requests, (ratelimit.State{Limit: 2, Remaining: 1, Reset: time.Minute}); got != want {
			t.Errorf("in the next window: got state %+v, want %+v", got, want)
		}
	})
}

func TestMemory_CountsTokensWhenTheRequestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory()
		scopes := one("alice", ratelimit.Limits{TokensPerMinute: 100, TokensPerDay: 250})
		first, second := admitted(t, l, scopes, false), admitted(t, l, scopes, false)
		first.End(99)
		first.End(99) // It has no effect.
		if got := admitted(t, l, scopes, false).States.Tokens.Remaining; got != 1 {
			t.Errorf("%d tokens remain, want 1", got)
		}
		second.End(50)
		if got := rejected(t, l, scopes, false); got.Kind != ratelimit.TokensPerMinute || got.RetryAfter != time.Minute {
			t.Errorf("got rejection %+v", got)
		}
		time.Sleep(time.Minute)
		admitted(t, l, scopes, false).End(101)
		time.Sleep(time.Minute)
		if got, want := rejected(t, l, scopes, false), (ratelimit.Rejection{Kind: ratelimit.TokensPerDay, Scope: "alice", Limit: 250, RetryAfter: 24*time.Hour - 2*time.Minute}); got != want {
			t.Errorf("got rejection %+v, want %+v", got, want)
		}
		time.Sleep(24*time.Hour - 2*time.Minute)
		admitted(t, l, scopes, false)
	})
}

func TestMemory_ReleasesStreamsThatEnd(t *testing.T) {
	l := ratelimit.NewMemory()
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 2})
	first, second := admitted(t, l, scopes, true), admitted(t, l, scopes, true)
	admitted(t, l, scopes, false).End(0) // It is not a stream.
	if got := rejected(t, l, scopes, true); got.Kind != ratelimit.ConcurrentStreams || got.RetryAfter != time.Second {
		t.Errorf("got rejection %+v", got)
	}
	first.End(0)
	first.End(0) // It has no effect.
	admitted(t, l, scopes, true)
	rejected(t, l, scopes, true)
	second.End(0)
	admitted(t, l, scopes, true)
}

func TestMemory_DoesNotCountRejectedRequests(t *testing.T) {
	for _, of := range []ratelimit.Limits{{RequestsPerMinute: 1}, {ConcurrentStreams: 1}} {
		t.Run(fmt.Sprintf("%+v", of), func(t *testing.T) {
			l := ratelimit.NewMemory()
			wide := ratelimit.Limits{RequestsPerMinute: 3, ConcurrentStreams: 3}
			both := append(one("alice", wide), one("alice/gpt", of)...)
			admitted(t, l, both, true)
			for range 10 {
				rejected(t, l, both, true)
			}
			admitted(t, l, one("alice", wide), true)
			admitted(t, l, one("alice", wide), true)
			rejected(t, l, one("alice", wide), true)
		})
	}
}

func TestMemory_ReportsTheLimitWithTheLongestWait(t *testing.T) {
	l := ratelimit.NewMemory()
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 1, TokensPerMinute: 10, TokensPerDay: 10})
	admitted(t, l, scopes, false).End(10)
	if got := rejected(t, l, scopes, false); got.Kind != ratelimit.TokensPerDay {
		t.Errorf("got rejection %+v", got)
	}
}

func TestMemory_AdmitsEverythingWithoutLimits(t *testing.T) {
	l := ratelimit.NewMemory()
	for _, scopes := range [][]ratelimit.Scope{nil, one("alice", ratelimit.Limits{}), one("alice", ratelimit.Limits{RequestsPerMinute: -1})} {
		for range 100 {
			d := admitted(t, l, scopes, true)
			if d.States != (ratelimit.States{}) {
				t.Fatalf("got states %+v, want none", d.States)
			}
		}
	}
}

func TestMemory_NeverExceedsALimitUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // with a fake clock, so that the window does not end
		l := ratelimit.NewMemory()
		scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 1000, ConcurrentStreams: 7})
		count, most := hammer(l, scopes, 64, 500, func() { runtime.Gosched() })
		for l.Admit(t.Context(), scopes, false).Rejection == nil {
			count++
		}
		if count != 1000 {
			t.Errorf("%d requests were admitted, want 1000", count)
		}
		if most > 7 || most < 1 {
			t.Errorf("%d streams were open, want at most 7", most)
		}
	})
}

// hammer opens streams from many goroutines and calls do while each is open. It returns
// the number of admitted streams, and the largest number of concurrently open ones.
func hammer(l ratelimit.Limiter, scopes []ratelimit.Scope, goroutines, each int, do func()) (count, most int64) {
	var admitted, open, peak atomic.Int64
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for range each {
				d := l.Admit(context.Background(), scopes, true)
				if d.Rejection != nil {
					continue
				}
				admitted.Add(1)
				now := open.Add(1)
				for old := peak.Load(); now > old && !peak.CompareAndSwap(old, now); {
					old = peak.Load()
				}
				do()
				open.Add(-1)
				d.End(1)
			}
		})
	}
	running.Wait()
	return admitted.Load(), peak.Load()
}
