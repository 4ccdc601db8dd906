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

// instance is a limiter that counts in Redis, and its log.
type instance struct {
	*ratelimit.Shared
	*log
}

// timeout is the timeout of the instances.
const timeout = 200 * time.Millisecond

// slack is the additional time that a busy machine may take.
const slack = 300 * time.Millisecond

// open opens an instance and closes it when the test ends.
func open(tb testing.TB, url string, change ...func(*ratelimit.Options)) *instance {
	tb.Helper()
	i := &instance{log: &log{changed: make(chan struct{}, 1)}}
	options := ratelimit.Options{
		Logger: slog.New(i.log), Timeout: timeout, Retry: 50 * time.Millisecond, Lease: 30 * time.Second,
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

// openMany opens n instances and checks that each counts n live instances.
func openMany(tb testing.TB, n int, url string) []*instance {
	tb.Helper()
	var all []*instance
	for range n {
		all = append(all, open(tb, url))
	}
	for _, i := range all {
		i.Sync()
		if got, want := i.Stats(), (ratelimit.Stats{Shared: true, RedisUp: true, Instances: int64(n)}); got != want {
			tb.Fatalf("Stats() = %+v, want %+v", got, want)
		}
	}
	return all
}

// log records what an instance logs.
type log struct {
	mu      sync.Mutex
	lines   []string      // guarded by mu
	read    int           // guarded by mu: the number of lines that await has read
	changed chan struct{} // receives a value after a line was logged
}

func (l *log) Enabled(context.Context, slog.Level) bool { return true }
func (l *log) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *log) WithGroup(string) slog.Handler            { return l }

func (l *log) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	l.lines = append(l.lines, line)
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return nil
}

// await waits for a line that contains text, after the line of the previous await.
func (l *log) await(tb testing.TB, text string) {
	tb.Helper()
	late := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		for l.read < len(l.lines) {
			l.read++
			if strings.Contains(l.lines[l.read-1], text) {
				l.mu.Unlock()
				return
			}
		}
		l.mu.Unlock()
		select {
		case <-l.changed:
		case <-late:
			tb.Fatalf("%q was not logged:\n%s", text, l.String())
		}
	}
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// The log messages of an instance.
const (
	unavailable = "rate limit store unavailable"
	available   = "rate limit store available again"
)

// use sends requests until one is rejected. It returns the number of admitted requests and
// the duration of the slowest one.
func use(l ratelimit.Limiter, scopes []ratelimit.Scope, stream bool) (admitted int64, slowest time.Duration) {
	for {
		start := time.Now()
		d := l.Admit(context.Background(), scopes, stream)
		slowest = max(slowest, time.Since(start))
		if d.Rejection != nil {
			return admitted, slowest
		}
		admitted++
	}
}

// admin returns a client of a Redis server.
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
