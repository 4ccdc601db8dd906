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

// errLooksFinished is the worst failure: what was cut off looks as if it weren't.
var errLooksFinished = errors.New("it looks finished, and isn't")

// load is clients of all kinds, who ask again and again.
type load struct {
	address string        // that it asks
	ending  chan struct{} // closed when no more is asked
	clients sync.WaitGroup
	count   atomic.Int64 // of requests, for their names

	mu       sync.Mutex
	outcomes map[string]*outcome // guarded by mu: by kind
	failures []failed            // guarded by mu
}

// outcome is what became of the requests of a kind.
type outcome struct{ done, failed, sentAway int }

// failed is a request that failed.
type failed struct {
	mark string
	err  error
}

// kind is a kind of client.
type kind struct {
	name     string
	parallel int
	// open returns how to ask once, over connections that are kept. The error
	// errSentAway is no failure, but that a server asked to come again.
	open func(t *testing.T, l *load) func(ctx context.Context, mark string) error
}

// errSentAway says that a WebSocket was closed by a server that goes down.
var errSentAway = errors.New("the server is going down")

// startLoad has clients of all kinds ask what is at an address, until end.
func startLoad(t *testing.T, address string) *load {
	t.Helper()
	l := &load{address: address, ending: make(chan struct{}), outcomes: make(map[string]*outcome)}
	for _, k := range kinds() {
		l.outcomes[k.name] = new(outcome)
		ask := k.open(t, l)
		for range k.parallel {
			l.clients.Go(func() { l.askOn(t.Context(), k.name, ask) })
		}
	}
	return l
}

// askOn asks until the load ends.
func (l *load) askOn(ctx context.Context, kind string, ask func(context.Context, string) error) {
	for {
		select {
		case <-l.ending:
			return
		default:
		}
		mark := fmt.Sprintf("%s#%d", kind, l.count.Add(1))
		err := ask(ctx, mark)
		l.mu.Lock()
		switch {
		case err == nil:
			l.outcomes[kind].done++
		case errors.Is(err, errSentAway):
			l.outcomes[kind].sentAway++
		default:
			l.outcomes[kind].failed++
			l.failures = append(l.failures, failed{mark, err})
		}
		l.mu.Unlock()
		time.Sleep(5 * time.Millisecond) // so that a machine of few cores measures servers, not its own limits
	}
}

// end lets clients finish what they have begun, and returns what failed.
func (l *load) end(t *testing.T) []failed {
	t.Helper()
	close(l.ending)
	l.clients.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range kinds() {
		o := l.outcomes[k.name]
		t.Logf("%-24s %5d done, %d failed, %d sent away", k.name, o.done, o.failed, o.sentAway)
		if o.done+o.sentAway == 0 {
			t.Errorf("%s: none was done", k.name)
		}
	}
	return l.failures
}

// sentAway is how many WebSockets were told that their server goes down.
func (l *load) sentAway() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outcomes {
		n += o.sentAway
	}
	return n
}
