package ratelimit_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// limit is the limit of three instances, and share the share of each during an outage.
const limit, share = 10, 4

func TestOutage_EachInstanceEnforcesItsShareWhileRedisIsKilled(t *testing.T) {
	requests := one("alice", ratelimit.Limits{RequestsPerMinute: limit})
	streams := one("alice", ratelimit.Limits{ConcurrentStreams: limit})
	for _, test := range []struct {
		name   string
		scopes []ratelimit.Scope
		stream bool
		// The requests that each instance admits before and during the outage.
		before, during [3]int64
		after          int64 // the requests that all instances admit after the outage, in which Redis lost its data
	}{
		{"requests, one instance used the whole limit", requests, false, [3]int64{10, 0, 0}, [3]int64{0, 4, 4}, limit},
		{"streams, one instance used the whole limit", streams, true, [3]int64{10, 0, 0}, [3]int64{0, 4, 4}, 0},
		{"all instances used the same", requests, false, [3]int64{4, 3, 3}, [3]int64{0, 1, 1}, limit},
		{"nothing was used", requests, false, [3]int64{0, 0, 0}, [3]int64{4, 4, 4}, limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			redis := redistest.Start(t)
			all := openMany(t, 3, redis.URL)
			for n, i := range all {
				for range test.before[n] {
					admitted(t, i, test.scopes, test.stream)
				}
			}
			redis.Kill(t)
			for n, i := range all {
				start := time.Now()
				if d := admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false); d.Shared {
					t.Error("got a shared decision after Redis was killed")
				}
				slowest := time.Since(start)
				i.await(t, unavailable)
				got, waited := use(i, test.scopes, test.stream)
				if got != test.during[n] {
					t.Errorf("instance %d admitted %d requests during the outage, want %d", n, got, test.during[n])
				}
				if slowest = max(slowest, waited); slowest > timeout+slack {
					t.Errorf("a request waited %v during the outage", slowest)
				}
			}
			redis.Restart(t)
			for _, i := range all {
				i.await(t, available)
			}
			var after int64
			for _, i := range all {
				got, _ := use(i, test.scopes, test.stream)
				after += got
			}
			if after != test.after {
				t.Errorf("%d requests were admitted after the outage, want %d", after, test.after)
			}
		})
	}
}

func TestOutage_ASingleInstanceKeepsItsLimits(t *testing.T) {
	redis := redistest.Start(t)
	i := open(t, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: limit, TokensPerMinute: 100})
	for range 4 {
		admitted(t, i, scopes, false).End(10)
	}
	redis.Kill(t)
	d := admitted(t, i, scopes, false)
	if got := d.States; d.Shared || got.Requests.Remaining != limit-5 || got.Tokens.Remaining != 60 {
		t.Errorf("got states %+v and %+v", *got.Requests, *got.Tokens)
	}
	if got, _ := use(i, scopes, false); got != limit-5 {
		t.Errorf("%d requests were admitted during the outage, want %d", got, limit-5)
	}
}

func TestOutage_RedisLosesItsDataUnnoticed(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	for name, test := range map[string]struct {
		limits ratelimit.Limits
		most   int64
	}{
		"requests": {ratelimit.Limits{RequestsPerMinute: limit}, 2*limit + 3*share}, // the old and the new counters of Redis, and the local counters
		"streams":  {ratelimit.Limits{ConcurrentStreams: limit}, limit + 2*share},
	} {
		t.Run(name, func(t *testing.T) {
			scopes, stream := one("alice", test.limits), name == "streams"
			sum, _ := use(all[0], scopes, stream)
			redis.Restart(t)
			for _, i := range all {
				for up := false; !up; up = i.Stats().RedisUp {
					i.Sync() // It fails while the connection is closed.
				}
			}
			for _, i := range all {
				n, _ := use(i, scopes, stream)
				sum += n
			}
			if sum > test.most {
				t.Errorf("%d requests were admitted, want at most %d", sum, test.most)
			}
		})
	}
}

func TestOutage_RedisHangsAndKeepsItsData(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: limit, TokensPerDay: 100})
	admitted(t, all[0], scopes, false).End(10)
	redis.Pause(t)
	// Only the first request waits.
	start := time.Now()
	admitted(t, all[0], one("bob", ratelimit.Limits{RequestsPerMinute: 10}), false)
	if took := time.Since(start); took < timeout || took > timeout+slack {
		t.Errorf("the first request waited %v, want %v", took, timeout)
	}
	all[0].await(t, unavailable)
	start = time.Now()
	for range 3 {
		admitted(t, all[0], scopes, false).End(1)
	}
	if took := time.Since(start); took > slack {
		t.Errorf("the following requests waited %v", took)
	}
	if got := rejected(t, all[0], scopes, false); got.Kind != ratelimit.RequestsPerMinute || got.Limit != limit {
		t.Errorf("got rejection %+v", got)
	}
	redis.Continue(t)
	all[0].await(t, available)
	d := admitted(t, all[0], scopes, false)
	if got := d.States; got.Requests.Remaining != limit-2 || got.Tokens.Remaining != 90 {
		t.Errorf("got states %+v and %+v", *got.Requests, *got.Tokens)
	}
	var sum int64
	for _, i := range all {
		n, _ := use(i, scopes, false)
		sum += n
	}
	if sum != limit-2 {
		t.Errorf("%d requests were admitted after the outage, want %d", sum, limit-2)
	}
}

func TestOutage_NoRequestFailsOrWaitsDuringRepeatedOutages(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 3000, TokensPerDay: 1e9, ConcurrentStreams: 6})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var sum int64
	var shared [3]int
	var slowest, slowestEnd time.Duration
	var running sync.WaitGroup
	for n := range 12 {
		running.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for range pace.C {
				if ctx.Err() != nil {
					return
				}
				start := time.Now()
				d := all[n%3].Admit(ctx, scopes, n%2 == 0)
				admitTime := time.Since(start)
				start = time.Now()
				d.End(1)
				endTime := time.Since(start)
				mu.Lock()
				if d.Rejection == nil {
					sum++
				}
				if d.Shared {
					shared[n%3]++
				}
				slowest, slowestEnd = max(slowest, admitTime), max(slowestEnd, endTime)
				mu.Unlock()
			}
		})
	}
	until := func(condition func() bool) {
		for {
			mu.Lock()
			met := condition()
			mu.Unlock()
			if met {
				return
			}
			runtime.Gosched()
		}
	}
	until(func() bool { return shared[0] >= 100 && shared[1] >= 100 && shared[2] >= 100 })
	outage := func(begin, end func(testing.TB)) {
		begin(t)
		for _, i := range all {
			i.await(t, unavailable)
		}
		end(t)
		for _, i := range all {
			i.await(t, available)
		}
	}
	outage(redis.Pause, redis.Continue)
	outage(redis.Kill, redis.Restart)
	outage(redis.Pause, redis.Continue)
	until(func() bool { return sum >= 1000 })
	stop()
	running.Wait()
	// Redis lost its data once.
	if most := int64(3*3000 + 3); sum > most {
		t.Errorf("%d requests were admitted, want at most %d", sum, most)
	}
	if slowest > timeout+slack || slowestEnd > timeout+slack {
		t.Errorf("Admit took up to %v, and End up to %v", slowest, slowestEnd)
	}
	t.Logf("%d requests admitted; Admit took up to %v, End up to %v; %+v", sum, slowest, slowestEnd, all[0].Stats())
}

func TestOutage_OpenStreamsAreRegisteredAgain(t *testing.T) {
	redis := redistest.Start(t)
	i := open(t, redis.URL, func(o *ratelimit.Options) { o.Lease = time.Second })
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 3})
	first := admitted(t, i, scopes, true)
	redis.Kill(t)
	second := admitted(t, i, scopes, true)
	i.await(t, unavailable)
	admitted(t, i, scopes, true).End(0)
	redis.Restart(t)
	i.await(t, available)
	client := admin(t, redis)
	held := func() int64 {
		n, err := do(t, client, "ZCARD", "openai-connect:{alice}:concurrent_streams").AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := held(); got != 2 {
		t.Errorf("Redis has %d streams, want 2", got)
	}
	first.End(0)
	second.End(0)
	// They are released immediately or, after another outage, when their leases expire.
	for deadline := time.Now().Add(20 * time.Second); held() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("Redis has %d streams, want none", held())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOutage_RedisRejectsCommands(t *testing.T) {
	const password = "hunter2-hunter2"
	for _, test := range []struct {
		name          string
		fail, recover [][]string
		log           string
	}{
		{
			"the password was changed",
			[][]string{{"CONFIG", "SET", "requirepass", password}, {"CLIENT", "KILL", "TYPE", "normal"}},
			[][]string{{"CONFIG", "SET", "requirepass", ""}},
			"error=", // Often the end of the connection is detected first.
		},
		{
			"it is now a replica",
			[][]string{{"REPLICAOF", "127.0.0.1", "1"}},
			[][]string{{"REPLICAOF", "NO", "ONE"}},
			"READONLY",
		},
		{
			"it has no memory left",
			[][]string{{"CONFIG", "SET", "maxmemory", "1"}},
			[][]string{{"CONFIG", "SET", "maxmemory", "0"}},
			"OOM",
		},
		{
			"the user lost its permissions",
			[][]string{{"ACL", "SETUSER", "default", "-@all", "+auth", "+hello", "+acl"}},
			[][]string{{"ACL", "SETUSER", "default", "+@all"}},
			"NOPERM",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			redis := redistest.Start(t)
			i := open(t, redis.URL)
			client := admin(t, redis)
			scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 3, ConcurrentStreams: 3})
			admitted(t, i, scopes, true).End(0)
			for _, command := range test.fail {
				do(t, client, command...)
			}
			admitted(t, i, scopes, true).End(0)
			i.await(t, unavailable)
			if d := admitted(t, i, scopes, true); d.Shared {
				t.Error("got a shared decision during the outage")
			}
			rejected(t, i, scopes, true)
			for _, command := range test.recover {
				do(t, client, command...)
			}
			i.await(t, available)
			if d := admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 1}), false); !d.Shared {
				t.Error("got a local decision after the outage, want a shared one")
			}
			if got, want := i.Stats(), (ratelimit.Stats{Shared: true, RedisUp: true, Instances: 1, Outages: 1}); got != want {
				t.Errorf("Stats() = %+v, want %+v", got, want)
			}
			if log := i.String(); !strings.Contains(log, test.log) || strings.Contains(log, password) {
				t.Errorf("got log\n%s", log)
			}
		})
	}
}

func TestOutage_AnInstanceStartsWithoutRedis(t *testing.T) {
	redis := redistest.Start(t, "--requirepass", "right")
	wrong := strings.Replace(redis.URL, "redis://", "redis://:hunter2-hunter2@", 1)
	right := strings.Replace(redis.URL, "redis://", "redis://:right@", 1)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: limit})

	i := open(t, wrong)
	i.await(t, unavailable)
	if got, _ := use(i, scopes, false); got != limit {
		t.Errorf("%d requests were admitted with a wrong password, want %d", got, limit)
	}
	if log := i.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "WRONGPASS") {
		t.Errorf("got log\n%s", log)
	}

	redis.Kill(t)
	i = open(t, right)
	i.await(t, unavailable)
	if got, _ := use(i, scopes, false); got != limit {
		t.Errorf("%d requests were admitted without Redis, want %d", got, limit)
	}
	redis.Restart(t)
	i.await(t, available)
	if got, want := i.Stats(), (ratelimit.Stats{Shared: true, RedisUp: true, Instances: 1, Outages: 1}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
	if d := admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 1}), false); !d.Shared {
		t.Error("got a local decision after the outage, want a shared one")
	}
}

func TestOutage_DoesNotWaitForAServerThatNeverResponds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // Its backlog accepts connections. Nothing is sent.
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	start := time.Now()
	i := open(t, "redis://"+listener.Addr().String())
	if took := time.Since(start); took > 4*timeout+slack {
		t.Errorf("OpenShared took %v", took)
	}
	start = time.Now()
	admitted(t, i, one("alice", ratelimit.Limits{RequestsPerMinute: 1}), false)
	if took := time.Since(start); took > slack {
		t.Errorf("Admit took %v", took)
	}
	start = time.Now()
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 4*timeout+slack {
		t.Errorf("Close took %v", took)
	}
}
