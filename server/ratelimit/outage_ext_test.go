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

// The bound that [limits.Shared] states, for 10 and three instances: 10 + 2·4.
const limit, share, bound = 10, 4, 18

func TestALostStoreThatForgotLetsNoMoreThroughThanStated(t *testing.T) {
	requests := one("alice", ratelimit.Limits{RequestsPerMinute: limit})
	streams := one("alice", ratelimit.Limits{ConcurrentStreams: limit})
	for _, test := range []struct {
		name    string
		scopes  []ratelimit.Scope
		streams bool
		// What each instance uses before, and in the outage.
		before, during [3]int64
	}{
		{"the worst: one used all before", requests, false, [3]int64{10, 0, 0}, [3]int64{0, 4, 4}},
		{"the same, of streams", streams, true, [3]int64{10, 0, 0}, [3]int64{0, 4, 4}},
		{"all used the same before", requests, false, [3]int64{4, 3, 3}, [3]int64{0, 1, 1}},
		{"nothing was used before", requests, false, [3]int64{0, 0, 0}, [3]int64{4, 4, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			redis := redistest.Start(t)
			all := openMany(t, 3, redis.URL)
			for n, i := range all {
				for range test.before[n] {
					admitted(t, i, test.scopes, test.streams)
				}
			}
			redis.Kill(t)
			for n, i := range all {
				// What is known to be used up needs no store, and finds nothing out.
				began := time.Now()
				admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 100}), false)
				noticed := time.Since(began)
				i.await(t, isLost)
				got, slowest := use(i, test.scopes, test.streams)
				slowest = max(slowest, noticed)
				if got != test.during[n] {
					t.Errorf("in the outage, instance %d admits %d, want %d", n, got, test.during[n])
				}
				if slowest > timeout+slack {
					t.Errorf("in the outage, a request waits %v", slowest)
				}
				if i.Stats().Locally == 0 {
					t.Errorf("%+v", i.Stats())
				}
			}
			redis.Restart(t)
			for _, i := range all {
				i.await(t, isBack)
			}
			for n, i := range all {
				if got, _ := use(i, test.scopes, test.streams); got != 0 {
					t.Errorf("after the outage, instance %d admits %d", n, got)
				}
			}
		})
	}
}

func TestAStoreThatForgetsUnnoticedLetsNoMoreThroughThanStated(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	for name, scopes := range map[string][]ratelimit.Scope{
		"requests": one("alice", ratelimit.Limits{RequestsPerMinute: limit}),
		"streams":  one("alice", ratelimit.Limits{ConcurrentStreams: limit}),
	} {
		t.Run(name, func(t *testing.T) {
			streams := name == "streams"
			sum, _ := use(all[0], scopes, streams)
			redis.Restart(t)
			for _, i := range all {
				i.Beat()
			}
			for _, i := range all {
				i.await(t, isBack)
			}
			for _, i := range all {
				n, _ := use(i, scopes, streams)
				sum += n
			}
			if sum > bound {
				t.Errorf("%d were admitted, of %d", sum, bound)
			}
		})
	}
}

func TestAStoreThatRemembersIsToldOfTheOutage(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: limit, TokensPerDay: 100})
	admitted(t, all[0], scopes, false).End(10)
	redis.Pause(t)
	// The one that notices waits; the others don't.
	began := time.Now()
	admitted(t, all[0], one("bob", ratelimit.Limits{RequestsPerMinute: 10}), false)
	if took := time.Since(began); took < timeout || took > timeout+slack {
		t.Errorf("who notices waits %v", took)
	}
	all[0].await(t, isLost)
	began = time.Now()
	for range 3 {
		admitted(t, all[0], scopes, false).End(1)
	}
	if took := time.Since(began); took > slack {
		t.Errorf("the others wait %v", took)
	}
	if got := refused(t, all[0], scopes, false); got.Kind != ratelimit.RequestsPerMinute || got.Limit != limit {
		t.Errorf("got %+v", got)
	}
	redis.Continue(t)
	all[0].await(t, isBack)
	d := admitted(t, all[0], scopes, false)
	if got := d.States(); got.Requests.Remaining != 5 || got.Tokens.Remaining != 87 {
		t.Errorf("%+v and %+v are left", *got.Requests, *got.Tokens)
	}
	var sum int64
	for _, i := range all {
		n, _ := use(i, scopes, false)
		sum += n
	}
	if sum != 5 {
		t.Errorf("%d of 5 are admitted", sum)
	}
}

func TestNothingFailsOrWaitsWhileTheStoreComesAndGoes(t *testing.T) {
	redis := redistest.Start(t)
	all := openMany(t, 3, redis.URL)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: 3000, TokensPerDay: 1e9, ConcurrentStreams: 6})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var sum int64
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
				began := time.Now()
				d := all[n%3].Admit(ctx, scopes, n%2 == 0)
				judged := time.Since(began)
				began = time.Now()
				d.End(1)
				ended := time.Since(began)
				mu.Lock()
				if d.Refusal() == nil {
					sum++
				}
				slowest, slowestEnd = max(slowest, judged), max(slowestEnd, ended)
				mu.Unlock()
			}
		})
	}
	for all[0].Stats().ByStore < 100 || all[1].Stats().ByStore < 100 || all[2].Stats().ByStore < 100 {
		runtime.Gosched()
	}
	lostAndBack := func(end, begin func(testing.TB)) {
		end(t)
		for _, i := range all {
			i.await(t, isLost)
		}
		begin(t)
		for _, i := range all {
			i.await(t, isBack)
		}
	}
	lostAndBack(redis.Pause, redis.Continue)
	lostAndBack(redis.Kill, redis.Restart)
	lostAndBack(redis.Pause, redis.Continue)
	stop()
	running.Wait()
	// A window was lost once only.
	if most := int64(3000 + 2*1000); sum > most || sum < 1000 {
		t.Errorf("%d were admitted, of %d", sum, most)
	}
	if slowest > timeout+slack || slowestEnd > timeout+slack {
		t.Errorf("a request was judged after %v, and its end after %v", slowest, slowestEnd)
	}
	t.Logf("%d admitted; the slowest was judged after %v, ended after %v; %+v", sum, slowest, slowestEnd, all[0].Stats())
}

func TestOpenStreamsAreTakenAgainWhenTheStoreForgot(t *testing.T) {
	redis := redistest.Start(t)
	i := open(t, redis.URL, func(o *ratelimit.Options) { o.Lease = time.Second })
	scopes := one("alice", ratelimit.Limits{ConcurrentStreams: 3})
	first := admitted(t, i, scopes, true)
	redis.Kill(t)
	second := admitted(t, i, scopes, true)
	i.await(t, isLost)
	admitted(t, i, scopes, true).End(0)
	redis.Restart(t)
	i.await(t, isBack)
	client := admin(t, redis)
	held := func() int64 {
		n, err := do(t, client, "ZCARD", "openai-connect:{alice:concurrent_streams}").AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := held(); got != 2 {
		t.Errorf("%d streams are known, want 2", got)
	}
	first.End(0)
	second.End(0)
	// At once, or when the lease is over, if the store was lost again meanwhile.
	for deadline := time.Now().Add(20 * time.Second); held() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are known, want none", held())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAStoreThatRefusesIsAway(t *testing.T) {
	const password = "hunter2-hunter2"
	for _, test := range []struct {
		name       string
		lose, find [][]string
		says       string
	}{
		{
			"the password was changed",
			[][]string{{"CONFIG", "SET", "requirepass", password}, {"CLIENT", "KILL", "TYPE", "normal"}},
			[][]string{{"CONFIG", "SET", "requirepass", ""}},
			"error=", // Often the connection's end is noticed first.
		},
		{
			"it has become a replica",
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
			"it may not be written",
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
			for _, command := range test.lose {
				do(t, client, command...)
			}
			admitted(t, i, scopes, true).End(0)
			i.await(t, isLost)
			admitted(t, i, scopes, true).End(0)
			refused(t, i, scopes, true)
			for _, command := range test.find {
				do(t, client, command...)
			}
			i.await(t, isBack)
			refused(t, i, scopes, true)
			admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 1}), false)
			if got := i.Stats(); !got.StoreUp || got.Outages != 1 || got.ByStore < 2 || got.Locally < 2 {
				t.Errorf("%+v", got)
			}
			if log := i.String(); !strings.Contains(log, test.says) || strings.Contains(log, password) {
				t.Errorf("it logs\n%s", log)
			}
		})
	}
}

func TestAnInstanceBeginsWithoutAStore(t *testing.T) {
	redis := redistest.Start(t, "--requirepass", "right")
	wrong := strings.Replace(redis.URL, "redis://", "redis://:hunter2-hunter2@", 1)
	right := strings.Replace(redis.URL, "redis://", "redis://:right@", 1)
	scopes := one("alice", ratelimit.Limits{RequestsPerMinute: limit})
	three := func(o *ratelimit.Options) { o.Instances = 3 }

	i := open(t, wrong, three)
	i.await(t, cantHave)
	if got, _ := use(i, scopes, false); got != share {
		t.Errorf("with a wrong password %d are admitted, want %d", got, share)
	}
	if log := i.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "WRONGPASS") {
		t.Errorf("it logs\n%s", log)
	}

	redis.Kill(t)
	i = open(t, right, three)
	i.await(t, cantHave)
	if got, _ := use(i, scopes, false); got != share {
		t.Errorf("without a store %d are admitted, want %d", got, share)
	}
	redis.Restart(t)
	i.await(t, isBack)
	if !i.Stats().StoreUp {
		t.Errorf("%+v", i.Stats())
	}
	admitted(t, i, one("bob", ratelimit.Limits{RequestsPerMinute: 1}), false)
}

func TestAStoreThatNeverAnswersKeepsNobodyWaiting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // It accepts, by its backlog, and says nothing.
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	began := time.Now()
	i := open(t, "redis://"+listener.Addr().String())
	if took := time.Since(began); took > 4*timeout+slack {
		t.Errorf("it begins after %v", took)
	}
	began = time.Now()
	admitted(t, i, one("alice", ratelimit.Limits{RequestsPerMinute: 1}), false)
	if took := time.Since(began); took > slack {
		t.Errorf("a request waits %v", took)
	}
	began = time.Now()
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*timeout+slack {
		t.Errorf("it ends after %v", took)
	}
}
