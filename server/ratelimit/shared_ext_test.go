package ratelimit_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestInstancesShareTheirLimitsExactly(t *testing.T) {
	all := openMany(t, 3, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 500, ConcurrentStreams: 7, TokensPerDay: 1e6})
	var count sync.Map
	var running sync.WaitGroup
	for n, i := range all {
		running.Go(func() {
			admitted, most := hammer(i, scopes, 8, 100, func() {})
			if most > 7 {
				t.Errorf("%d streams were open, of 7", most)
			}
			count.Store(n, admitted)
		})
	}
	running.Wait()
	var sum, used int64
	count.Range(func(_, n any) bool { sum += n.(int64); return true })
	used = sum
	for _, i := range all {
		n, _ := use(i, scopes, false)
		sum += n
	}
	if sum != 500 {
		t.Errorf("%d requests were admitted, of 500", sum)
	}
	for _, i := range all {
		if got := refused(t, i, scopes, false); got.Kind != ratelimit.RequestsPerMinute || got.RetryAfter > time.Minute {
			t.Errorf("got %+v", got)
		}
		if got := i.Stats(); got.Outages > 0 || got.ByStore == 0 || got.StoreCalls == 0 || got.StoreTime == 0 {
			t.Errorf("got %+v", got)
		}
		tokens := one("alice", ratelimit.Limits{TokensPerDay: 1e6})
		if got := admitted(t, i, tokens, false).States().Tokens.Remaining; got != 1e6-used {
			t.Errorf("%d tokens are left, want %d", got, int64(1e6)-used)
		}
	}
}

func TestWhatOneInstanceUsedTheOthersKnow(t *testing.T) {
	all := openMany(t, 2, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 100, TokensPerMinute: 100, TokensPerDay: 1000})
	d := admitted(t, all[0], scopes, false)
	if got := d.States(); got.Requests.Remaining != 99 || got.Tokens.Remaining != 100 {
		t.Errorf("%+v and %+v are left", *got.Requests, *got.Tokens)
	}
	d.End(99)
	d = admitted(t, all[1], scopes, false)
	if got := d.States(); got.Requests.Remaining != 98 || got.Tokens.Remaining != 1 {
		t.Errorf("%+v and %+v are left", *got.Requests, *got.Tokens)
	}
	d.End(1)
	for _, i := range all {
		got := refused(t, i, scopes, false)
		if got.Kind != ratelimit.TokensPerMinute || got.Limit != 100 || got.RetryAfter <= 50*time.Second || got.RetryAfter > time.Minute {
			t.Errorf("got %+v", got)
		}
	}
	if got := admitted(t, all[0], one("alice", ratelimit.Limits{RequestsPerMinute: 100}), false).States(); got.Requests.Remaining != 97 {
		t.Errorf("the refusals counted: %+v", *got.Requests)
	}
}

func TestARefusalCountsNothingAtAnyInstance(t *testing.T) {
	wide := ratelimit.Limits{RequestsPerMinute: 100, ConcurrentStreams: 2}
	for name, narrow := range map[string]ratelimit.Limits{
		"requests": {RequestsPerMinute: 1}, "streams": {ConcurrentStreams: 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := openMany(t, 2, redistest.Start(t).URL)
			both := append(one("alice", wide), one("alice/{gpt*}", narrow)...)
			admitted(t, all[0], both, true)
			for range 5 {
				refused(t, all[0], both, true)
				refused(t, all[1], both, true)
			}
			if got := admitted(t, all[1], one("alice", wide), true).States().Requests.Remaining; got != 98 {
				t.Errorf("%d requests are left, want 98", got)
			}
			refused(t, all[0], one("alice", wide), true)
		})
	}
}

func TestStreamsAreSharedAndGivenBack(t *testing.T) {
	all := openMany(t, 2, redistest.Start(t).URL)
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 2})
	first := admitted(t, all[0], scopes, true)
	admitted(t, all[1], scopes, true)
	for _, i := range all {
		if got := refused(t, i, scopes, true); got.Kind != ratelimit.ConcurrentStreams {
			t.Errorf("got %+v", got)
		}
	}
	first.End(0)
	admitted(t, all[1], scopes, true)
	refused(t, all[0], scopes, true)
	if err := all[1].Close(); err != nil {
		t.Fatal(err)
	}
	admitted(t, all[0], scopes, true)
	admitted(t, all[0], scopes, true)
}

func TestTheStreamsOfADeadInstanceEndWithTheirLease(t *testing.T) {
	url := redistest.Start(t).URL
	short := func(o *ratelimit.Options) { o.Lease = time.Second }
	dead, alive := open(t, url, short), open(t, url, short)
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 2})
	admitted(t, dead, scopes, true)
	admitted(t, alive, scopes, true)
	began := time.Now()
	dead.Die()
	refused(t, alive, scopes, true)
	for alive.Admit(t.Context(), scopes, true).Refusal() != nil {
		if time.Since(began) > 10*time.Second {
			t.Fatal("they are never given back")
		}
	}
	if took := time.Since(began); took < time.Second/2 {
		t.Errorf("it was given back after %v", took)
	}
	// What lives keeps its streams, for longer than a lease.
	for time.Since(began) < 3*time.Second {
		refused(t, alive, scopes, true)
	}
	for alive.Stats().Instances != 1 {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%+v", alive.Stats())
		}
		alive.Beat()
	}
}

func TestEveryKeyExpires(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 2, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 10, TokensPerMinute: 10, TokensPerDay: 10, ConcurrentStreams: 2})
	admitted(t, all[0], scopes, true)
	admitted(t, all[1], scopes, true).End(5)
	admitted(t, all[1], append(scopes, one("bob", ratelimit.Limits{RequestsPerMinute: 1})...), true)
	refused(t, all[0], scopes, true)
	client := admin(t, redis)
	keys, err := do(t, client, "KEYS", "*").AsStrSlice()
	if err != nil || len(keys) < 8 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		life, err := do(t, client, "PTTL", key).AsInt64()
		if err != nil || life <= 0 || life > (48*time.Hour).Milliseconds() {
			t.Errorf("%s lives %d ms, %v", key, life, err)
		}
		if !strings.HasPrefix(key, "openai-connect:{") {
			t.Errorf("%s lacks the prefix", key)
		}
	}
}

func TestAURLThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	for _, url := range []string{
		"", "redis", "http://:hunter2@example.net", "redis://:hunter2@example.net/zero", "redis://:hunter2@example.net/0/1",
		"redis://alice:hunter2/@example.net", "redis://:hunter2%zz@example.net", "redis://:hunter2@example.net?db=x",
		"redis://:hunter2@[::1", "redis://example.net:hunter2",
	} {
		l, err := ratelimit.OpenShared(t.Context(), url, ratelimit.Options{})
		if err == nil {
			_ = l.Close()
			t.Errorf("%q is taken", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
