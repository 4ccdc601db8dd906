package overload_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/overload"
)

const (
	capacity = 50
	crowd    = 10 * capacity
)

// site is a server on a real socket with as many open streams as the limit allows. The
// test decides when the streams send their next event.
type site struct {
	*httptest.Server

	handler limited
	client  *http.Client
	cue     []chan int // for the streams' next events
	got     chan int   // the events that clients received; -1 for an unexpected one
	streams sync.WaitGroup
}

// open starts a site.
func open(tb testing.TB) *site {
	tb.Helper()
	s := &site{cue: make([]chan int, capacity), got: make(chan int, capacity)}
	next := make(chan chan int, capacity)
	for i := range s.cue {
		s.cue[i] = make(chan int)
		next <- s.cue[i]
	}
	s.handler = start(tb, overload.Config{MaxCalls: capacity, MaxQueue: 2 * capacity, QueueTimeout: 20 * time.Millisecond},
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/stream" {
				_, _ = io.Copy(w, r.Body)
				return
			}
			control := http.NewResponseController(w)
			_ = control.Flush()
			for n := range <-next {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
				_ = control.Flush()
			}
		})
	s.Server = httptest.NewServer(s.handler)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: crowd}}
	opened := make(chan error)
	for range capacity {
		s.streams.Go(func() { s.listen(opened) })
	}
	for range capacity {
		if err := <-opened; err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// listen is the client of one stream.
func (s *site) listen(opened chan<- error) {
	resp, err := s.client.Get(s.URL + "/stream")
	opened <- err
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return
		}
		n := -1
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			_, _ = fmt.Sscan(data, &n)
		} else if line == "\n" {
			continue
		}
		s.got <- n
		if n < 0 {
			return
		}
	}
}

// event makes every stream send the event with a number, and reports whether every client
// received it.
func (s *site) event(n int) bool {
	for _, cue := range s.cue {
		cue <- n
	}
	for range s.cue {
		if <-s.got != n {
			return false
		}
	}
	return true
}

// end ends the streams and closes the site.
func (s *site) end() {
	for _, cue := range s.cue {
		close(cue)
	}
	s.streams.Wait()
	s.client.CloseIdleConnections()
	s.Close()
}

// call sends another request with the given body and returns the status.
func (s *site) call(ctx context.Context, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/call", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		return 0, errors.New("a rejection without Retry-After")
	}
	return resp.StatusCode, nil
}

func TestLimiter_ProtectsStreamsAtTenTimesTheCapacity(t *testing.T) {
	const callsEach, maxHeap = 6, 64 << 20
	s := open(t)
	body := bytes.Repeat([]byte("x"), 64<<10)
	var rejected atomic.Int64
	var callers sync.WaitGroup
	done := make(chan struct{})
	for range crowd {
		callers.Go(func() {
			for range callsEach {
				status, err := s.call(t.Context(), body)
				if status != http.StatusServiceUnavailable {
					t.Errorf("a request beyond the capacity got status %d, %v", status, err)
					continue
				}
				rejected.Add(1)
			}
		})
	}
	go func() {
		callers.Wait()
		close(done)
	}()
	events, within, heap := 0, 0, uint64(0)
	for flooded := true; flooded; {
		if !s.event(events) {
			t.Fatalf("event %d did not reach every client", events)
		}
		events++
		select {
		case <-done:
			flooded = false
		default:
			within++
			if events%64 == 1 {
				runtime.GC()
				var memory runtime.MemStats
				runtime.ReadMemStats(&memory)
				heap = max(heap, memory.HeapAlloc)
			}
		}
		if stats := s.handler.Stats(); stats.Running != capacity || stats.Waiting > 2*capacity {
			t.Errorf("at event %d: %+v", events, stats)
		}
	}
	s.end()
	want := overload.Stats{Rejected: crowd * callsEach}
	if got := s.handler.Stats(); got != want || rejected.Load() != crowd*callsEach {
		t.Errorf("the statistics are %+v, and clients saw %d rejections; want %+v", got, rejected.Load(), want)
	}
	if heap > maxHeap {
		t.Errorf("%d MB were in use, want at most %d", heap>>20, maxHeap>>20)
	}
	t.Logf("%d events of %d streams, %d of them in a flood of %d calls, with at most %d MB in use",
		events, capacity, within, crowd*callsEach, heap>>20)
}

// BenchmarkEventOfEveryStream measures how long an event takes to reach the clients of all
// streams, without further load and at ten times the capacity. All clients are in this
// process. The median and the 99th percentile are more meaningful than the mean.
func BenchmarkEventOfEveryStream(b *testing.B) {
	for _, flooded := range []bool{false, true} {
		name := "alone"
		if flooded {
			name = "flooded"
		}
		b.Run(name, func(b *testing.B) {
			s := open(b)
			ctx, end := context.WithCancel(b.Context())
			var callers sync.WaitGroup
			for range crowd {
				if !flooded {
					break
				}
				callers.Go(func() {
					for ctx.Err() == nil {
						_, _ = s.call(ctx, []byte("{}"))
						select { // like clients that respect Retry-After, but much sooner
						case <-time.After(100 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				})
			}
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				start := time.Now()
				if !s.event(n) {
					b.Fatal("an event did not reach every client")
				}
				took = append(took, time.Since(start))
			}
			end()
			callers.Wait()
			s.end()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
		})
	}
}
