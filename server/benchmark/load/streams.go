package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/answer"
)

// entering is how many streams may be on their way to the first event at a time:
// all at once would measure the listener's queue.
const entering = 200

// Streams are event streams that are open at a time.
type Streams struct {
	// FirstEvents are the times from a request to its first event, sorted.
	FirstEvents []time.Duration

	client *Client
	cancel context.CancelFunc
	all    sync.WaitGroup

	measuring atomic.Bool
	events    atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
	broken    int
	reason    error // why the first broke
}

// OpenStreams opens streams and returns when each has its first event, or has
// failed.
func OpenStreams(ctx context.Context, client *Client, count int, interval time.Duration) *Streams {
	ctx, cancel := context.WithCancel(ctx)
	s := &Streams{client: client, cancel: cancel}
	gate := make(chan struct{}, entering)
	var first sync.WaitGroup
	first.Add(count)
	for range count {
		s.all.Go(func() {
			gate <- struct{}{}
			entered := sync.OnceFunc(func() { <-gate; first.Done() })
			defer entered()
			if err := s.read(ctx, interval, entered); err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.broken++; s.reason == nil {
					s.reason = err
				}
			}
		})
	}
	first.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.FirstEvents)
	return s
}

// read opens a stream and reads it to its end.
func (s *Streams) read(ctx context.Context, interval time.Duration, entered func()) error {
	begin := time.Now()
	stream, err := s.client.Open(ctx, interval)
	if err != nil {
		return err
	}
	defer stream.Close()
	// Closing is what ends a read of a socket.
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	for number := 0; ; number++ {
		event, err := stream.Next()
		now := time.Now()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("after %d events: %w", number, err)
		case event.Number != number:
			return fmt.Errorf("event %d came where %d was due", event.Number, number)
		}
		if number == 0 {
			s.mu.Lock()
			s.FirstEvents = append(s.FirstEvents, now.Sub(begin))
			s.mu.Unlock()
			entered()
		}
		s.count(event, now)
	}
}

func (s *Streams) count(event answer.Event, now time.Time) {
	if !s.measuring.Load() {
		return
	}
	s.events.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latencies = append(s.latencies, now.Sub(event.Sent))
}

// Window is what came in a time in which all streams were open.
type Window struct {
	Events    int
	Bytes     int64           // on the wire, headers of HTTP/2 and chunks included
	Latencies []time.Duration // from the upstream's write to the client, sorted
}

// Measure counts what comes in a time. It may be called once.
func (s *Streams) Measure(length time.Duration) Window {
	bytes := s.client.Read.Load()
	s.measuring.Store(true)
	time.Sleep(length)
	s.measuring.Store(false)
	bytes = s.client.Read.Load() - bytes

	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.latencies)
	return Window{Events: int(s.events.Load()), Bytes: bytes, Latencies: s.latencies}
}

// Wait waits for the end of all streams, until patience ends, and returns how
// many were not complete, and why the first of them.
func (s *Streams) Wait(patience time.Duration) (cutShort int, reason error) {
	timer := time.AfterFunc(patience, s.cancel)
	defer timer.Stop()
	s.all.Wait()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken, s.reason
}
