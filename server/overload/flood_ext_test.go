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

// site is a server on a real socket with as many open streams as it bears, whose
// upstream is the test: each has the next event when the test says so.
type site struct {
	*httptest.Server

	handler limited
	client  *http.Client
	cue     []chan int // for the streams' next events
	got     chan int   // of what the streams' clients received; -1 for what is wrong
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

// listen is the client of a stream.
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

// event has every stream send its event of a number, and waits until every client
// has received it. It reports whether each received what it should.
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

// end ends the streams, and the site.
func (s *site) end() {
	for _, cue := range s.cue {
		close(cue)
	}
	s.streams.Wait()
	s.client.CloseIdleConnections()
	s.Close()
}

// call is one more call to a site, whose body is as given. It returns the status.
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
		return 0, errors.New("a refusal without retry-after")
	}
	return resp.StatusCode, nil
}

func TestTenTimesTheCapacityTakesNothingFromTheStreamsThatRun(t *testing.T) {
	const callsEach, maxHeap = 6, 64 << 20
	s := open(t)
	body := bytes.Repeat([]byte("x"), 64<<10)
	var refused atomic.Int64
	var callers sync.WaitGroup
	over := make(chan struct{})
	for range crowd {
		callers.Go(func() {
			for range callsEach {
				status, err := s.call(t.Context(), body)
				if status != http.StatusServiceUnavailable {
					t.Errorf("a call beyond the capacity ended by %d, %v", status, err)
					continue
				}
				refused.Add(1)
			}
		})
	}
	go func() {
		callers.Wait()
		close(over)
	}()
	events, within, heap := 0, 0, uint64(0)
	for flooded := true; flooded; {
		if !s.event(events) {
			t.Fatalf("event %d did not reach every client", events)
		}
		events++
		select {
		case <-over:
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
	want := overload.Stats{Refused: crowd * callsEach}
	if got := s.handler.Stats(); got != want || refused.Load() != crowd*callsEach {
		t.Errorf("%+v, and clients were told of %d refusals; want %+v", got, refused.Load(), want)
	}
	if heap > maxHeap {
		t.Errorf("there were %d MB in use, of which %d are allowed", heap>>20, maxHeap>>20)
	}
	t.Logf("%d events of %d streams, %d of them in a flood of %d calls, with at most %d MB in use",
		events, capacity, within, crowd*callsEach, heap>>20)
}

// BenchmarkEventOfEveryStream measures how long an event takes to reach the
// clients of as many streams as there may be, alone and at ten times the capacity,
// where the clients of the crowd are in this process too. The median and the 99th
// percentile say more of the pace than the mean.
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
						select { // as those do who heed a retry-after, but much sooner
						case <-time.After(100 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				})
			}
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				began := time.Now()
				if !s.event(n) {
					b.Fatal("an event did not reach every client")
				}
				took = append(took, time.Since(began))
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
