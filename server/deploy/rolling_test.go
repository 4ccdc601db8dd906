package deploy_test

import (
	"errors"
	"os"
	"testing"
	"time"
)

// rollingTime is how long instances are restarted, one after the other: at least
// once each. It is what OPENAI_CONNECT_ROLLING_TIME says, such as 10m.
func rollingTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OPENAI_CONNECT_ROLLING_TIME")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("OPENAI_CONNECT_ROLLING_TIME: %v", err)
	}
	return d
}

// Three instances behind a balancer are restarted one after the other, under
// streams and calls of all kinds: none fails.
func TestRollingRestart_LosesNothing(t *testing.T) {
	for _, b := range balancers() {
		t.Run("behind "+b.name, func(t *testing.T) {
			instances := startInstances(t)
			l := startLoad(t, b.start(t, instances))
			for _, one := range instances {
				one.awaitCalls(t, 20)
			}
			began, restarts := time.Now(), 0
			for restarts == 0 || time.Since(began) < rollingTime(t) {
				for _, one := range instances {
					one.stop(t)
					one.start(t)
					one.awaitCalls(t, 20)
					restarts++
				}
			}
			failures := l.end(t)
			for _, f := range failures[:min(10, len(failures))] {
				t.Errorf("%s: %v", f.mark, f.err)
			}
			if l.sentAway() == 0 {
				t.Error("no WebSocket was told that its server goes down")
			}
			t.Logf("%d requests, %d failed, through %d restarts in %v", l.count.Load(), len(failures), restarts, time.Since(began).Round(time.Second))
			for _, one := range instances {
				t.Logf("%s: %d requests", one.name, one.came.Load())
			}
		})
	}
}

// An instance is killed: what ran there fails, each with an error that its client
// sees, and nothing else does.
func TestKilledInstance_AffectsOnlyItsRequests(t *testing.T) {
	for _, b := range balancers() {
		t.Run("behind "+b.name, func(t *testing.T) {
			instances := startInstances(t)
			l := startLoad(t, b.start(t, instances))
			for _, one := range instances {
				one.awaitCalls(t, 100)
			}
			killed := instances[0]
			killed.kill(t)
			for _, one := range instances[1:] {
				one.awaitCalls(t, 100)
			}
			killed.start(t)
			killed.awaitCalls(t, 20)
			failures := l.end(t)
			there, onTheWay := 0, 0
			for _, f := range failures {
				t.Logf("%s: %v", f.mark, f.err)
				switch {
				case errors.Is(f.err, errLooksFinished) && !b.hidesCuts(t):
					t.Errorf("%s: %v", f.mark, f.err)
				case killed.has(f.mark):
					there++
				case instances[1].has(f.mark) || instances[2].has(f.mark):
					t.Errorf("%s failed at another instance: %v", f.mark, f.err)
				default:
					onTheWay++
				}
			}
			t.Logf("%d requests; of those at the killed instance %d failed, and %d on the way there", l.count.Load(), there, onTheWay)
			if there == 0 {
				t.Error("none ran at the instance that was killed")
			}
		})
	}
}
