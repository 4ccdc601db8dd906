package ratelimit

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Options are of a limiter that shares its counters. The zero value is the default
// of each.
type Options struct {
	// Logger is told when the store is lost, and when it is back; none if nil.
	Logger *slog.Logger
	// Timeout is how long a request, or its end, waits for the store; 250 ms.
	Timeout time.Duration
	// Retry is how often a store that is away is tried; 1 s.
	Retry time.Duration
	// Lease is after what time an instance that is heard of no more counts as gone,
	// and its streams as ended; 30 s.
	Lease time.Duration
	// Instances is how many share the limits at least, until the store has been seen
	// for the time of a lease; 1. It matters if the store is away at the beginning.
	Instances int64
	// Password, unless nil, returns the password of the store. It is called before
	// each login, so that the password may change. The URL has none then.
	Password func() (string, error)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Timeout <= 0 {
		o.Timeout = 250 * time.Millisecond
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	if o.Lease <= 0 {
		o.Lease = 30 * time.Second
	}
	o.Instances = max(o.Instances, 1)
	return o
}

// Shared counts in Redis or Valkey, for all instances that use the same database.
//
// # With the store
//
// The windows are those of package valkeylimiter: fixed, one for each scope and
// kind, and expiring. Each counts atomically, so no window has one request more
// than its limit; the same is true of streams, which are leases in a sorted set
// that this instance renews. An instance that dies gives its streams back when
// their lease is over.
//
// A refusal counts nothing: as long as all windows are known to have room the
// request is counted at once, in one round trip; near a limit, and with a stream,
// the room of all is looked at first and streams are taken, which can be given
// back. Between the look and the count another request may use up what was left:
// then the one that is refused remains counted in its other scopes. So a scope may
// lose a request to a race at the end of another's window, and never gains one.
//
// Windows are timed by the clocks of the instances, which have to agree to within
// a second.
//
// # Without the store
//
// When the store doesn't answer in time, or refuses, this instance counts alone, at
// once and without asking again, until the store is back; it is tried in the
// background. With N instances, as they last were, each holds to its share of a
// limit L, ⌈L/N⌉, for which it counts what it let through while the store was there
// as well. When the store is back it is told of the rest. If it has forgotten what
// it was told, each window in which that may matter is held to both the share and
// the store's count until it is over.
//
// So if the store is lost once in a window, then with or without its memory, the
// window takes at most L + (N-1)·⌈L/N⌉ requests, which is less than 2·L + N: one
// instance may have used L before, and each of the others its share after. The
// same goes for streams that are open, and for tokens but for those of the requests
// that are under way. What is in doubt counts: a call that was given up may have
// reached the store.
type Shared struct {
	options Options
	dialing valkey.ClientOption
	id      string // this instance's
	ledger  ledger

	store atomic.Pointer[store] // nil until there was a connection
	lease atomic.Uint64         // names the next
	stats struct {
		byStore, locally, outages, calls atomic.Uint64
		time                             atomic.Int64
	}

	poke    chan struct{}
	quit    context.CancelFunc
	beating sync.WaitGroup

	mu     sync.Mutex
	closed bool           // guarded by mu
	calls  sync.WaitGroup // Add is guarded by mu
}

// OpenShared returns a limiter that counts in the store that a URL names:
// redis://, rediss:// (with TLS), valkey:// or valkeys://, then
// [user:password@]host[:port][/database]. Of the query parameters of package valkey
// it takes addr, db, dial_timeout, write_timeout, master_set, protocol and
// skip_verify. A URL with any part that would be ignored is refused. No error has a
// value of the URL in it.
//
// A store that can't be had is no error, so that instances can begin without it;
// it is tried once before OpenShared returns, which ctx may cut short.
func OpenShared(ctx context.Context, url string, options Options) (*Shared, error) { //nolint:contextcheck // Calls to the store outlive who asks.
	options = options.withDefaults()
	dialing, err := parseURL(url, options.Password, options.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Shared{
		options: options,
		dialing: dialing,
		id:      rand.Text(),
		ledger:  ledger{streams: make(map[string]*streams), instances: options.Instances, many: time.Now(), down: true},
		poke:    make(chan struct{}, 1),
	}
	run, quit := context.WithCancel(context.Background())
	s.quit = quit
	tried := make(chan struct{})
	s.beating.Go(func() {
		s.start() //nolint:contextcheck // Calls to the store outlive who asks.
		close(tried)
		s.beat(run)
	})
	select {
	case <-tried:
		return s, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.Close()) //nolint:contextcheck // Calls to the store outlive who asks.
	}
}

// Admit is [Limiter]'s. It waits for the store no longer than [Options.Timeout],
// whatever becomes of ctx, and not at all while the store is known to be away. Nor
// does the end of a request.
func (s *Shared) Admit(_ context.Context, scopes []Scope, streams bool) Decision {
	all := counters(scopes, streams)
	if len(all) == 0 {
		return new(decision)
	}
	var lease string
	if streams {
		lease = s.id + "-" + strconv.FormatUint(s.lease.Add(1), 36)
	}
	r, v := s.ledger.reserve(all, lease, time.Now())
	if v.refusal != nil || r.down {
		s.stats.locally.Add(1)
		return s.decide(r, v, false) //nolint:contextcheck // Calls to the store outlive who asks.
	}
	r.until = s.soon()
	v, err := s.ask(r) //nolint:contextcheck // Calls to the store outlive who asks.
	if err != nil {
		s.lost(r.spell, err)
		s.stats.locally.Add(1)
		v = verdict{} // The store's word on a part is no verdict.
	} else {
		s.stats.byStore.Add(1)
	}
	if v.refusal != nil {
		s.ledger.refused(r)
	} else if own := s.ledger.settle(r, time.Now()); own.refusal != nil || err != nil {
		v = own
	}
	if v.refusal != nil {
		s.giveBack(r) //nolint:contextcheck // Calls to the store outlive who asks.
	}
	return s.decide(r, v, err == nil) //nolint:contextcheck // Calls to the store outlive who asks.
}

// decide returns a decision, by the store's counters or by those of this instance.
func (s *Shared) decide(r *reservation, v verdict, shared bool) *decision {
	d := &decision{verdict: v, shared: shared}
	if v.refusal == nil {
		d.end = func(tokens int64) { s.end(r, tokens) }
	}
	return d
}

// Stats tells what the limiter has done so far, and whether the store is there.
func (s *Shared) Stats() Stats {
	s.ledger.mu.Lock()
	down, instances := s.ledger.down, s.ledger.instances
	s.ledger.mu.Unlock()
	return Stats{
		Shared:     true,
		StoreUp:    !down,
		Instances:  instances,
		ByStore:    s.stats.byStore.Load(),
		Locally:    s.stats.locally.Load(),
		Outages:    s.stats.outages.Load(),
		StoreCalls: s.stats.calls.Load(),
		StoreTime:  time.Duration(s.stats.time.Load()),
	}
}

// Close gives back the streams that are open, tells the store that this instance
// is gone, and ends the connections. It waits for the store no longer than
// [Options.Timeout], and for what is under way no longer than four times that.
func (s *Shared) Close() error {
	s.quit()
	s.beating.Wait()
	s.leave()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if st := s.store.Load(); st != nil {
		st.client.Close()
	}
	s.calls.Wait()
	return nil
}
