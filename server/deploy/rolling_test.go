package deploy_test

import (
	"errors"
	"os"
	"testing"
	"time"
)

// rollingTime returns the minimum duration of the rolling restarts, such as 10m, from
// OPENAI_CONNECT_ROLLING_TIME. Each instance restarts at least once.
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

// Instances restart one after the other under streams and calls of all kinds. No
// request fails.
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
			if l.goneAway() == 0 {
				t.Error("got no WebSocket closed with status Going Away")
			}
			t.Logf("%d requests, %d failed, during %d restarts in %v", l.count.Load(), len(failures), restarts, time.Since(began).Round(time.Second))
			for _, one := range instances {
				t.Logf("%s: %d requests", one.name, one.requests.Load())
			}
		})
	}
}

// When an instance is killed, its requests fail with an error that the client can
// detect, and no other request fails.
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
				case errors.Is(f.err, errSilentTruncation) && !b.hidesTruncation(t):
					t.Errorf("%s: %v", f.mark, f.err)
				case killed.hasReceived(f.mark):
					there++
				case instances[1].hasReceived(f.mark) || instances[2].hasReceived(f.mark):
					t.Errorf("%s failed at another instance: %v", f.mark, f.err)
				default:
					onTheWay++
				}
			}
			t.Logf("%d requests, of which %d failed at the killed instance and %d before they reached it", l.count.Load(), there, onTheWay)
			if there == 0 {
				t.Error("no request failed at the killed instance")
			}
		})
	}
}
