package failover_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Under random failures and concurrent requests, a request that is not idempotent is
// processed at most once, and exactly once if the client receives a success.
//
// Connections are not reused here: package upstream may consider a reused connection stale.
func TestFailover_NeverProcessesARequestTwice(t *testing.T) {
	const calls, callers = 400, 20
	var mu sync.Mutex
	acted := make(map[string]int) // by the id of a call; guarded by mu
	refusals := []answer{says(429), says(503, "Retry-After: 0"), says(529)}
	act := func(conn *upstreamtest.Conn, head upstreamtest.Head) bool {
		mu.Lock()
		acted[head.Value("X-Id")]++
		mu.Unlock()
		faults := []answer{hangsUp, resets, breaksOffInTheHeader}
		if n := rand.N(8); n < len(faults) {
			return faults[n](conn, head)
		}
		return says(200)(conn, head)
	}
	trouble := func(conn *upstreamtest.Conn, head upstreamtest.Head) bool {
		if n := rand.N(6); n < len(refusals) {
			return refusals[n](conn, head)
		}
		return act(conn, head)
	}
	f := over(t, failover.Config{Retries: 1, Cooldown: time.Millisecond},
		absent(t), start(t, trouble), start(t, trouble))
	told := make(map[string]int) // the status; guarded by mu
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			for n := range calls / callers {
				id := fmt.Sprintf("%d-%d", caller, n)
				status := 0
				resp, err := f.Send(t.Context(), with(post(text+strings.Repeat(" ", rand.N(100_000))), "X-Id", id))
				if err == nil {
					status = resp.StatusCode
					resp.Body.Close() // unread, which ends the connection
				}
				mu.Lock()
				told[id] = status
				mu.Unlock()
			}
		})
	}
	running.Wait()
	mu.Lock()
	defer mu.Unlock()
	outcomes := make(map[int]int)
	for id, status := range told {
		outcomes[status]++
		switch got := acted[id]; {
		case got > 1:
			t.Errorf("request %s was processed %d times", id, got)
		case status == 200 && got != 1, status > 200 && got != 0, status == 0 && got != 1:
			t.Errorf("request %s was processed %d times, and the client received status %d", id, got, status)
		}
	}
	if len(told) != calls/callers*callers || outcomes[200] == 0 || outcomes[0] == 0 {
		t.Errorf("got outcomes %v", outcomes)
	}
}
