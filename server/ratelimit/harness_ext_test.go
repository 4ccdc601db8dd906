package ratelimit_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/openai-connect/openai-connect/server/internal/redistest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// instance is a limiter that shares its counters, and what it logs.
type instance struct {
	*ratelimit.Shared
	*events
}

// timeout is that of the tests' instances.
const timeout = 200 * time.Millisecond

// slack is what a busy machine may take on top.
const slack = 300 * time.Millisecond

// open opens an instance until the test ends.
func open(tb testing.TB, url string, change ...func(*ratelimit.Options)) *instance {
	tb.Helper()
	i := &instance{events: &events{changed: make(chan struct{}, 1)}}
	options := ratelimit.Options{
		Logger: slog.New(i.events), Timeout: timeout, Retry: 50 * time.Millisecond, Lease: 30 * time.Second,
	}
	for _, change := range change {
		change(&options)
	}
	var err error
	if i.Shared, err = ratelimit.OpenShared(tb.Context(), url, options); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := i.Close(); err != nil {
			tb.Error(err)
		}
	})
	return i
}

// openMany opens instances that know of each other.
func openMany(tb testing.TB, n int, url string) []*instance {
	tb.Helper()
	var all []*instance
	for range n {
		all = append(all, open(tb, url, func(o *ratelimit.Options) { o.Instances = int64(n) }))
	}
	for _, i := range all {
		if got := i.Stats(); !got.StoreUp || got.Instances != int64(n) {
			tb.Fatalf("%+v", got)
		}
	}
	return all
}

// events is what an instance logs.
type events struct {
	mu      sync.Mutex
	log     []string      // guarded by mu
	seen    int           // guarded by mu: up to where await has read
	changed chan struct{} // has one after something was logged
}

func (e *events) Enabled(context.Context, slog.Level) bool { return true }
func (e *events) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *events) WithGroup(string) slog.Handler            { return e }

func (e *events) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	e.mu.Lock()
	e.log = append(e.log, text)
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return nil
}

// await waits for a line that has a text in it, behind the one that was awaited
// last.
func (e *events) await(tb testing.TB, text string) {
	tb.Helper()
	late := time.After(10 * time.Second)
	for {
		e.mu.Lock()
		for e.seen < len(e.log) {
			e.seen++
			if strings.Contains(e.log[e.seen-1], text) {
				e.mu.Unlock()
				return
			}
		}
		e.mu.Unlock()
		select {
		case <-e.changed:
		case <-late:
			tb.Fatalf("%q was not logged:\n%s", text, e.String())
		}
	}
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.log, "\n")
}

// What an instance logs.
const (
	isLost   = "is lost"
	cantHave = "can't be had"
	isBack   = "is there again"
)

// use asks for requests until one is refused, and returns how many were admitted,
// and how long the slowest took to be judged.
func use(i ratelimit.Limiter, scopes []ratelimit.Scope, streams bool) (admitted int64, slowest time.Duration) {
	for {
		began := time.Now()
		d := i.Admit(context.Background(), scopes, streams)
		slowest = max(slowest, time.Since(began))
		if d.Refusal() != nil {
			return admitted, slowest
		}
		admitted++
	}
}

// admin returns a client of a redis.
func admin(tb testing.TB, r *redistest.Redis) valkey.Client {
	tb.Helper()
	c, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{r.Address}, DisableCache: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// do runs a command.
func do(tb testing.TB, c valkey.Client, command ...string) valkey.ValkeyResult {
	tb.Helper()
	result := c.Do(context.Background(), c.B().Arbitrary(command...).Build())
	if err := result.Error(); err != nil && !valkey.IsValkeyNil(err) {
		tb.Fatal(fmt.Sprint(command, ": ", err))
	}
	return result
}
