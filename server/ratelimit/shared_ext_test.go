package ratelimit_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestShared_InstancesEnforceLimitsTogetherExactly(t *testing.T) {
	all := openMany(t, 3, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 500, ConcurrentStreams: 7, TokensPerDay: 1e6})
	var sum atomic.Int64
	var running sync.WaitGroup
	for _, i := range all {
		running.Go(func() {
			admitted, most := hammer(i, scopes, 8, 100, func() {})
			if most > 7 {
				t.Errorf("%d streams were open, want at most 7", most)
			}
			sum.Add(admitted)
		})
	}
	running.Wait()
	used := sum.Load()
	for _, i := range all {
		n, _ := use(i, scopes, false)
		sum.Add(n)
	}
	if sum.Load() != 500 {
		t.Errorf("%d requests were admitted, want 500", sum.Load())
	}
	for _, i := range all {
		if got := rejected(t, i, scopes, false); got.Kind != ratelimit.RequestsPerMinute || got.RetryAfter > time.Minute {
			t.Errorf("got rejection %+v", got)
		}
		if got := i.Stats(); got.Outages > 0 {
			t.Errorf("Stats() = %+v, want no outage", got)
		}
		tokens := one("alice", ratelimit.Limits{TokensPerDay: 1e6})
		d := admitted(t, i, tokens, false)
		if got := d.States.Tokens.Remaining; got != 1e6-used || !d.Shared {
			t.Errorf("%d tokens remain, shared %v, want %d", got, d.Shared, int64(1e6)-used)
		}
	}
}

func TestShared_InstancesSeeEachOthersUse(t *testing.T) {
	all := openMany(t, 2, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 100, TokensPerMinute: 100, TokensPerDay: 1000})
	d := admitted(t, all[0], scopes, false)
	if got := d.States; got.Requests.Remaining != 99 || got.Tokens.Remaining != 100 {
		t.Errorf("got states %+v and %+v", *got.Requests, *got.Tokens)
	}
	d.End(99)
	d = admitted(t, all[1], scopes, false)
	if got := d.States; got.Requests.Remaining != 98 || got.Tokens.Remaining != 1 {
		t.Errorf("got states %+v and %+v", *got.Requests, *got.Tokens)
	}
	d.End(1)
	for _, i := range all {
		got := rejected(t, i, scopes, false)
		if got.Kind != ratelimit.TokensPerMinute || got.Limit != 100 || got.RetryAfter <= 50*time.Second || got.RetryAfter > time.Minute {
			t.Errorf("got rejection %+v", got)
		}
	}
	if got := admitted(t, all[0], one("alice", ratelimit.Limits{RequestsPerMinute: 100}), false).States; got.Requests.Remaining != 97 {
		t.Errorf("the rejected requests were counted: %+v", *got.Requests)
	}
}

func TestShared_CountsRejectedRequestsAtNoInstance(t *testing.T) {
	wide := ratelimit.Limits{RequestsPerMinute: 100, ConcurrentStreams: 2}
	for name, narrow := range map[string]ratelimit.Limits{
		"requests": {RequestsPerMinute: 1}, "streams": {ConcurrentStreams: 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := openMany(t, 2, redistest.Start(t).URL)
			both := append(one("alice", wide), one("alice/{gpt*}", narrow)...)
			admitted(t, all[0], both, true)
			for range 5 {
				rejected(t, all[0], both, true)
				rejected(t, all[1], both, true)
			}
			if got := admitted(t, all[1], one("alice", wide), true).States.Requests.Remaining; got != 98 {
				t.Errorf("%d requests remain, want 98", got)
			}
			rejected(t, all[0], one("alice", wide), true)
		})
	}
}

func TestShared_ReleasesStreamsThatEnd(t *testing.T) {
	all := openMany(t, 2, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 2})
	first := admitted(t, all[0], scopes, true)
	admitted(t, all[1], scopes, true)
	for _, i := range all {
		if got := rejected(t, i, scopes, true); got.Kind != ratelimit.ConcurrentStreams {
			t.Errorf("got rejection %+v", got)
		}
	}
	first.End(0)
	admitted(t, all[1], scopes, true)
	rejected(t, all[0], scopes, true)
	if err := all[1].Close(); err != nil {
		t.Fatal(err)
	}
	admitted(t, all[0], scopes, true)
	admitted(t, all[0], scopes, true)
}

func TestShared_ReleasesStreamsOfADeadInstanceWhenTheirLeaseExpires(t *testing.T) {
	url := redistest.Start(t).URL
	short := func(o *ratelimit.Options) { o.Lease = time.Second }
	dead, alive := open(t, url, short), open(t, url, short)
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 2})
	admitted(t, dead, scopes, true)
	admitted(t, alive, scopes, true)
	start := time.Now()
	dead.Die()
	rejected(t, alive, scopes, true)
	for alive.Admit(t.Context(), scopes, true).Rejection != nil {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the stream is not released after 10 s")
		}
	}
	if took := time.Since(start); took < time.Second/2 {
		t.Errorf("the stream was released after %v, before its lease expired", took)
	}
	// A live instance keeps its streams for longer than a lease.
	for time.Since(start) < 3*time.Second {
		rejected(t, alive, scopes, true)
	}
	for alive.Stats().Instances != 1 {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("Stats() = %+v, want one instance", alive.Stats())
		}
		alive.Sync()
	}
}

func TestShared_EveryRedisKeyExpires(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 2, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 10, TokensPerMinute: 10, TokensPerDay: 10, ConcurrentStreams: 2})
	admitted(t, all[0], scopes, true)
	admitted(t, all[1], scopes, true).End(5)
	admitted(t, all[1], append(scopes, one("bob", ratelimit.Limits{RequestsPerMinute: 1})...), true)
	rejected(t, all[0], scopes, true)
	client := admin(t, redis)
	keys, err := do(t, client, "KEYS", "*").AsStrSlice()
	if err != nil || len(keys) != 6 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		ttl, err := do(t, client, "PTTL", key).AsInt64()
		if err != nil || ttl <= 0 || ttl > (24*time.Hour).Milliseconds() {
			t.Errorf("%s expires in %d ms, %v", key, ttl, err)
		}
		if !strings.HasPrefix(key, "openai-connect:{") {
			t.Errorf("got key %s, want one with the prefix openai-connect:{", key)
		}
	}
}

func TestShared_KeepsTheKeysOfAClientInOneSlot(t *testing.T) {
	redis := redistest.Start(t)
	i := open(t, redis.URL)
	wide := ratelimit.Limits{RequestsPerMinute: 10, ConcurrentStreams: 2}
	admitted(t, i, append(one("al{ic}e", wide), one("al{ic}e/{gpt}/*", wide)...), true)
	client := admin(t, redis)
	keys, err := do(t, client, "KEYS", "*").AsStrSlice()
	if err != nil || len(keys) != 5 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "openai-connect:{al%7Bic%7De}") && key != "openai-connect:{instances}" {
			t.Errorf("got key %s with another hash tag", key)
		}
	}
}

func TestShared_RejectsInvalidURLsWithoutShowingThem(t *testing.T) {
	for _, url := range []string{
		"", "redis", "http://:hunter2@example.net", "redis://:hunter2@example.net/zero", "redis://:hunter2@example.net/0/1",
		"redis://alice:hunter2/@example.net", "redis://:hunter2%zz@example.net", "redis://:hunter2@example.net?db=x",
		"redis://:hunter2@[::1", "redis://example.net:hunter2",
	} {
		l, err := ratelimit.OpenShared(t.Context(), url, ratelimit.Options{})
		if err == nil {
			_ = l.Close()
			t.Errorf("OpenShared accepted %q", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got error %v, want one without the password", url, err)
		}
	}
}
