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

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// maxOpening is the maximum number of concurrent streams without a first event. Opening
// all streams at once would measure the listen queue.
const maxOpening = 200

// Streams represents concurrent event streams.
type Streams struct {
	// FirstEvents holds the times from a request to its first event, sorted.
	FirstEvents []time.Duration

	client *Client
	cancel context.CancelFunc
	all    sync.WaitGroup

	measuring atomic.Bool
	events    atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
	broken    int
	reason    error // error of the first broken stream
}

// OpenStreams opens streams. It returns when each of them has received an event or has
// failed.
func OpenStreams(ctx context.Context, client *Client, count int, interval time.Duration) *Streams {
	ctx, cancel := context.WithCancel(ctx)
	s := &Streams{client: client, cancel: cancel}
	gate := make(chan struct{}, maxOpening)
	var first sync.WaitGroup
	first.Add(count)
	for range count {
		s.all.Go(func() {
			gate <- struct{}{}
			opened := sync.OnceFunc(func() { <-gate; first.Done() })
			defer opened()
			if err := s.read(ctx, interval, opened); err != nil {
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

// read opens a stream and reads all events.
func (s *Streams) read(ctx context.Context, interval time.Duration, opened func()) error {
	begin := time.Now()
	stream, err := s.client.Open(ctx, interval)
	if err != nil {
		return err
	}
	defer stream.Close()
	// Closing the stream interrupts reads.
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
			return fmt.Errorf("received event %d, want %d", event.Number, number)
		}
		if number == 0 {
			s.mu.Lock()
			s.FirstEvents = append(s.FirstEvents, now.Sub(begin))
			s.mu.Unlock()
			opened()
		}
		s.count(event, now)
	}
}

func (s *Streams) count(event fixture.Event, now time.Time) {
	if !s.measuring.Load() {
		return
	}
	s.events.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latencies = append(s.latencies, now.Sub(event.Sent))
}

// Window holds the measurements of a period with all streams open.
type Window struct {
	Events    int
	Bytes     int64           // on the wire, including HTTP/2 and chunk headers
	Latencies []time.Duration // from the upstream's write to the client's read, sorted
}

// Measure counts the events of a period. It must be called only once.
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

// Wait waits for the end of all streams, and cancels them after the timeout. It returns
// the number of incomplete streams and the error of the first one.
func (s *Streams) Wait(timeout time.Duration) (cutShort int, reason error) {
	timer := time.AfterFunc(timeout, s.cancel)
	defer timer.Stop()
	s.all.Wait()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken, s.reason
}
