package soak_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/redistest"
)

const (
	// shortly is the default duration of the traffic.
	shortly = 20 * time.Second

	// concurrency is the number of concurrent callers.
	concurrency = 24

	// Growth allowed after the test, relative to the state after the warm-up: the
	// runtime's own goroutines and what the kernel has not released yet.
	spareGoroutines = 12
	spareFiles      = 8
	spareHeap       = 8 << 20 // bytes
)

func TestMain(m *testing.M) {
	code := m.Run()
	commandtest.Remove()
	os.Exit(code)
}

func TestSoak(t *testing.T) {
	duration := shortly
	if text := os.Getenv("OPENAI_CONNECT_SOAK"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("invalid OPENAI_CONNECT_SOAK: %v: want a duration such as 10m or 1h", err)
		}
	}
	keys := newClientsFile(t)
	provider := startProvider(t, keys.keys)
	redis := redistest.Start(t)
	var instances []*instance
	for range 2 {
		instances = append(instances, startInstance(t, keys.environment(),
			"--upstream", provider.url, "--clients", keys.path, "--redis", redis.URL,
			"--access-log", "--log-format", "json", "--max-calls", "2000", "--drain-timeout", "10s"))
	}
	s := &soak{t: t, keys: keys, redis: redis, instances: instances, searched: make(map[string]int)}
	warmup := duration / 5
	t.Run("warming up", func(t *testing.T) { s.load(t, warmup, 1) })
	s.settle()
	before := s.measure()
	t.Run("soaking", func(t *testing.T) { s.load(t, duration-warmup, 2) })
	s.settle()
	after := s.measure()
	s.compare(before, after)
	for _, instance := range instances {
		s.read(instance)
	}
	s.account(provider)
	s.searchAll()
	for _, instance := range instances {
		if err := instance.stop(); err != nil {
			t.Errorf("instance failed to shut down cleanly: %v\n%s", err, instance.output.take())
		}
		s.read(instance)
	}
	sent, succeeded, failed := s.ledger.totals()
	t.Logf("%v of traffic, %d requests: %d succeeded, %d failed with a reason; Redis was killed %d times, the clients file changed %d times\n%s",
		duration, sent, succeeded, failed, s.deaths, s.changes, s.ledger.report())
	t.Logf("searched for %d secrets: %v bytes", len(s.secrets()), s.searched)
}

// soak is the test while it runs.
type soak struct {
	t         *testing.T
	keys      *clientsFile
	redis     *redistest.Redis
	instances []*instance
	ledger    ledger
	deaths    int // kills of Redis
	changes   int // changes of the clients file

	mu       sync.Mutex
	searched map[string]int // guarded by mu: bytes by source
}

// load generates traffic while Redis is killed and the clients file changes. Its
// connections end with its test.
func (s *soak) load(t *testing.T, duration time.Duration, seed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	g := &generator{
		ledger: &s.ledger, tokens: s.keys.tokens, concurrency: concurrency,
		heard: func(text string) { s.search("errors", text) },
	}
	for _, instance := range s.instances {
		g.instances = append(g.instances, connectTo(t, instance.front))
	}
	var trouble sync.WaitGroup
	trouble.Go(func() { s.killRedis(ctx) })
	trouble.Go(func() { s.changeKeys(ctx) })
	trouble.Go(func() { s.readOutputs(ctx) })
	g.run(ctx, seed)
	trouble.Wait()
}

// killRedis repeatedly kills Redis and restarts it empty.
func (s *soak) killRedis(ctx context.Context) {
	for pause(ctx, 4*time.Second) {
		s.redis.Kill(s.t)
		pause(ctx, time.Second)
		s.redis.Restart(s.t)
		s.deaths++
	}
}

// changeKeys changes the clients file to valid and invalid versions.
func (s *soak) changeKeys(ctx context.Context) {
	for withErin := false; pause(ctx, 500*time.Millisecond); withErin = !withErin {
		s.keys.write(s.t, withErin)
		if s.changes++; s.changes%3 == 0 {
			pause(ctx, 300*time.Millisecond)
			s.keys.breakFile(s.t)
		}
	}
	s.keys.write(s.t, true)
}

// readOutputs searches the output of the servers.
func (s *soak) readOutputs(ctx context.Context) {
	for pause(ctx, time.Second) {
		for _, instance := range s.instances {
			s.read(instance)
		}
	}
}

// read searches what a server has written since the last call. Lines are written
// atomically, so none is split.
func (s *soak) read(instance *instance) {
	text := instance.output.take()
	s.ledger.see(text)
	s.search("the output", text)
}

// pause waits, and reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// settle waits until the servers are idle.
func (s *soak) settle() {
	s.t.Helper()
	for n, instance := range s.instances {
		waitFor(s.t, fmt.Sprintf("instance %d to be idle", n), func() error {
			families, _ := instance.metrics(s.t)
			if calls := sum(families["openai_connect_open_requests"]); calls != 0 {
				return fmt.Errorf("%v requests in progress", calls)
			}
			return nil
		})
	}
}

// leftover holds the resources of an idle server. Upstream connections are not counted
// as files.
type leftover struct{ goroutines, files, heap, resident float64 }

func (s *soak) measure() []leftover {
	s.t.Helper()
	var result []leftover
	for _, instance := range s.instances {
		// Twice, because finalizers release objects for the second collection.
		for range 2 {
			if err := instance.get(s.t.Context(), "/debug/pprof/heap?gc=1", new(bytes.Buffer)); err != nil {
				s.t.Fatal(err)
			}
		}
		families, text := instance.metrics(s.t)
		s.search("metrics", text)
		result = append(result, leftover{
			goroutines: sum(families["go_goroutines"]),
			files:      sum(families["process_open_fds"]) - sum(families["openai_connect_upstream_connections"]),
			heap:       sum(families["go_memstats_heap_alloc_bytes"]),
			resident:   sum(families["process_resident_memory_bytes"]),
		})
	}
	return result
}

// compare reports resources that have grown.
func (s *soak) compare(before, after []leftover) {
	s.t.Helper()
	for n := range before {
		b, a := before[n], after[n]
		s.t.Logf("instance %d: goroutines %.0f → %.0f, files %.0f → %.0f, heap %.1f → %.1f MB, resident %.1f → %.1f MB",
			n, b.goroutines, a.goroutines, b.files, a.files, b.heap/1e6, a.heap/1e6, b.resident/1e6, a.resident/1e6)
		if a.goroutines > b.goroutines+spareGoroutines || a.files > b.files+spareFiles || a.heap > b.heap*1.2+spareHeap {
			var dump bytes.Buffer
			_ = s.instances[n].get(s.t.Context(), "/debug/pprof/goroutine?debug=1", &dump)
			s.t.Errorf("instance %d leaks resources; goroutines:\n%.20000s", n, dump.String())
		}
	}
}

// account compares the counts of clients, servers, and the upstream.
func (s *soak) account(p *provider) {
	s.t.Helper()
	sent, succeeded, failed := s.ledger.totals()
	if sent != succeeded+failed {
		s.t.Errorf("sent %d requests, of which %d ended", sent, succeeded+failed)
	}
	if s.ledger.surprises > 0 {
		s.t.Errorf("got %d unexpected outcomes:\n%s", s.ledger.surprises, strings.Join(s.ledger.unexpected, "\n"))
	}
	var counted float64
	for _, instance := range s.instances {
		families, _ := instance.metrics(s.t)
		counted += sum(families["openai_connect_requests_total"])
	}
	if arrived := s.ledger.arrived(); counted != float64(arrived) {
		s.t.Errorf("servers counted %.0f requests, want %d", counted, arrived)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.strange) > 0 {
		s.t.Errorf("got %d upstream requests with another client's key: %.1000v", len(p.strange), p.strange)
	}
}

// searchAll searches the admin endpoints of the servers.
func (s *soak) searchAll() {
	s.t.Helper()
	for _, instance := range s.instances {
		for _, path := range []string{"/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline", "/readyz", "/healthz"} {
			var text bytes.Buffer
			if err := instance.get(s.t.Context(), path, &text); err != nil {
				s.t.Error(err)
			}
			s.search(path, text.String())
		}
	}
}

// secrets returns the keys that must not appear anywhere.
func (s *soak) secrets() []string {
	var all []string
	for _, known := range []map[string]string{s.keys.tokens, s.keys.keys} {
		for _, secret := range known {
			all = append(all, secret, base64.StdEncoding.EncodeToString([]byte(secret)), strconv.Quote(secret))
		}
	}
	return all
}

// search searches text for secrets.
func (s *soak) search(what, text string) {
	s.mu.Lock()
	s.searched[what] += len(text)
	s.mu.Unlock()
	for _, secret := range s.secrets() {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s contains a secret", what)
			return
		}
	}
}
