package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// errSilentTruncation reports a truncated response that looks complete. It is the worst
// failure.
var errSilentTruncation = errors.New("truncated response looks complete")

// load runs clients of all kinds that send requests in a loop.
type load struct {
	address string        // of the server or balancer
	ending  chan struct{} // closed to stop the clients
	clients sync.WaitGroup
	count   atomic.Int64 // number of requests; part of their names

	mu       sync.Mutex
	outcomes map[string]*outcome // guarded by mu; by client kind
	failures []failed            // guarded by mu
}

// outcome counts the results of requests of one client kind.
type outcome struct{ done, failed, goneAway int }

// failed is a request that failed.
type failed struct {
	mark string
	err  error
}

// clientKind is a kind of client.
type clientKind struct {
	name     string
	parallel int
	// open returns a function that sends one request over reused connections. The error
	// errGoingAway is not a failure: the server closed a WebSocket to shut down.
	open func(t *testing.T, l *load) func(ctx context.Context, mark string) error
}

// errGoingAway reports a WebSocket closed by a server that is shutting down.
var errGoingAway = errors.New("the server is shutting down")

// startLoad starts clients of all kinds that send requests to address until end.
func startLoad(t *testing.T, address string) *load {
	t.Helper()
	l := &load{address: address, ending: make(chan struct{}), outcomes: make(map[string]*outcome)}
	for _, k := range clientKinds() {
		l.outcomes[k.name] = new(outcome)
		send := k.open(t, l)
		for range k.parallel {
			l.clients.Go(func() { l.run(t.Context(), k.name, send) })
		}
	}
	return l
}

// run sends requests until the load ends.
func (l *load) run(ctx context.Context, name string, send func(context.Context, string) error) {
	for {
		select {
		case <-l.ending:
			return
		default:
		}
		mark := fmt.Sprintf("%s#%d", name, l.count.Add(1))
		err := send(ctx, mark)
		l.mu.Lock()
		switch {
		case err == nil:
			l.outcomes[name].done++
		case errors.Is(err, errGoingAway):
			l.outcomes[name].goneAway++
		default:
			l.outcomes[name].failed++
			l.failures = append(l.failures, failed{mark, err})
		}
		l.mu.Unlock()
		time.Sleep(5 * time.Millisecond) // leaves CPU time for the servers on a machine with few cores
	}
}

// end waits for requests in progress and returns the failures.
func (l *load) end(t *testing.T) []failed {
	t.Helper()
	close(l.ending)
	l.clients.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range clientKinds() {
		o := l.outcomes[k.name]
		t.Logf("%-24s %5d done, %d failed, %d closed by shutdown", k.name, o.done, o.failed, o.goneAway)
		if o.done+o.goneAway == 0 {
			t.Errorf("%s: got no completed request", k.name)
		}
	}
	return l.failures
}

// goneAway returns the number of WebSockets closed by a shutdown.
func (l *load) goneAway() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outcomes {
		n += o.goneAway
	}
	return n
}
