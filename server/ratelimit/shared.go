package ratelimit

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures a [Shared] limiter.
type Options struct {
	// Logger logs when Redis becomes unavailable, and available again. Nil means no log.
	Logger *slog.Logger
	// Timeout bounds the wait of a request, or of its end, for Redis; 250 ms by default.
	Timeout time.Duration
	// Retry is the interval of attempts to reach Redis while it is unavailable; 1 s by
	// default.
	Retry time.Duration
	// Lease is the time without a heartbeat after which an instance is assumed to be dead
	// and its streams closed; 30 s by default.
	Lease time.Duration
	// Password, unless nil, returns the password of Redis. It is called before each
	// login, so that the password may change. If it is set, the URL must not have a
	// password.
	Password func() (string, error)
}

// Shared counts in Redis or Valkey, together with all instances that use the same
// database. The package comment describes what happens while Redis is unavailable.
//
// Redis checks and counts a request atomically in one round trip, using the clock of
// Redis. An open stream is a lease that the instance renews, so if an instance dies, its
// streams are closed when their leases expire.
type Shared struct {
	options Options
	redis   redis
	local   Memory // counts what this instance admits

	up        atomic.Bool // Redis is available
	instances atomic.Int64
	outages   atomic.Uint64

	stop       context.CancelFunc
	heartbeats sync.WaitGroup
}

// OpenShared returns a limiter that counts in the database at a URL: redis://, rediss://
// (with TLS), valkey:// or valkeys://, followed by
// [user:password@]host[:port][/database]. The supported query parameters are those of
// package valkey named addr, db, dial_timeout, write_timeout, master_set, protocol and
// skip_verify. A URL with a part that would be ignored is an error. No error contains
// values of the URL.
//
// OpenShared tries once to reach Redis, unless ctx ends first. An unavailable Redis is not
// an error.
func OpenShared(ctx context.Context, url string, options Options) (*Shared, error) { //nolint:contextcheck // Heartbeats continue after ctx ends.
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	options.Timeout = cmp.Or(options.Timeout, 250*time.Millisecond)
	options.Retry = cmp.Or(options.Retry, time.Second)
	options.Lease = cmp.Or(options.Lease, 30*time.Second)
	option, err := parseURL(url, options.Password, options.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Shared{options: options, redis: redis{option: option, timeout: options.Timeout, lease: options.Lease, instance: rand.Text()}}
	s.instances.Store(1)
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	tried := make(chan struct{})
	s.heartbeats.Go(func() {
		if err := s.sync(); err != nil { //nolint:contextcheck // Commands are not canceled.
			s.logOutage(err)
		}
		close(tried)
		s.heartbeat(run)
	})
	select {
	case <-tried:
		return s, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.Close()) //nolint:contextcheck // Commands are not canceled.
	}
}

// Admit implements [Limiter]. It waits for Redis at most [Options.Timeout], and not at all
// while Redis is known to be unavailable.
func (s *Shared) Admit(_ context.Context, scopes []Scope, stream bool) *Decision {
	counters := countersOf(scopes, stream)
	if len(counters) == 0 {
		return new(Decision)
	}
	id := s.local.lastStream.Add(1)
	d := s.admitByRedis(counters, id) //nolint:contextcheck // Commands are not canceled.
	if d == nil {
		d = s.local.admit(counters, id, s.instances.Load())
	}
	if d.Rejection == nil {
		d.end = func(tokens int64) { s.end(counters, id, tokens) } //nolint:contextcheck // Commands are not canceled.
	}
	return d
}

// admitByRedis returns the decision of Redis, or nil if Redis is unavailable.
func (s *Shared) admitByRedis(counters []counter, stream uint64) *Decision {
	if !s.up.Load() {
		return nil
	}
	counts, err := s.redis.admit(counters, stream)
	if err != nil {
		s.markDown(err)
		return nil
	}
	d := decide(counters, counts, 1)
	d.Shared = true
	if d.Rejection == nil {
		s.local.add(counters, stream)
	}
	return d
}

// end counts the tokens of a request, in Redis if it is available, and closes its stream.
func (s *Shared) end(counters []counter, stream uint64, tokens int64) {
	s.local.end(counters, stream, tokens)
	if !s.up.Load() {
		return
	}
	if err := s.redis.end(counters, stream, tokens); err != nil {
		s.markDown(err)
	}
}

// Stats implements [Limiter].
func (s *Shared) Stats() Stats {
	return Stats{Shared: true, RedisUp: s.up.Load(), Instances: s.instances.Load(), Outages: s.outages.Load()}
}

// Close releases the leases of the open streams, removes this instance from Redis and
// closes the connections. It waits for an unresponsive Redis at most four times
// [Options.Timeout].
func (s *Shared) Close() error {
	s.stop()
	s.heartbeats.Wait()
	if s.up.Swap(false) {
		// Leases that cannot be released expire.
		_ = s.redis.leave(s.local.openStreams())
	}
	s.redis.close()
	return nil
}
