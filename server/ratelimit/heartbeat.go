package ratelimit

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// heartbeat renews the leases of this instance and its streams in Redis until ctx ends.
// While Redis is unavailable, it retries.
func (s *Shared) heartbeat(ctx context.Context) {
	interval := s.options.Lease / 3 // One heartbeat may fail.
	ticker := time.NewTicker(min(s.options.Retry, interval))
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.up.Load() && time.Since(last) < interval {
			continue
		}
		last = time.Now()
		if err := s.sync(); err != nil { //nolint:contextcheck // Commands are not canceled.
			s.markDown(err)
		}
	}
}

// leaseBatch is the maximum number of leases that one command renews.
const leaseBatch = 500

// sync registers this instance and its open streams, and updates the number of live
// instances. If it succeeds, Redis is available.
func (s *Shared) sync() error {
	if err := s.redis.connect(); err != nil {
		return err
	}
	instances, err := s.redis.register()
	if err != nil {
		return err
	}
	for scope, streams := range s.local.openStreams() {
		for batch := range slices.Chunk(streams, leaseBatch) {
			if err := s.redis.renew(scope, batch); err != nil {
				return err
			}
			// A stream that ended meanwhile released its lease before it was renewed.
			ended := slices.DeleteFunc(batch, func(stream uint64) bool { return s.local.isOpen(scope, stream) })
			if err := s.redis.release(scope, ended); err != nil {
				return err
			}
		}
	}
	s.instances.Store(max(instances, 1))
	if !s.up.Swap(true) && s.outages.Load() > 0 {
		s.options.Logger.Info("rate limit store available again", slog.Int64("instances", instances))
	}
	return nil
}

// markDown switches to local counting.
func (s *Shared) markDown(err error) {
	if s.up.Swap(false) {
		s.logOutage(err)
	}
}

func (s *Shared) logOutage(err error) {
	s.outages.Add(1)
	s.options.Logger.Warn("rate limit store unavailable, enforcing the local share of each limit",
		slog.Any("error", err), slog.Int64("instances", s.instances.Load()))
}
