package overload_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/request"
)

// reject responds to a rejected request.
func reject(w http.ResponseWriter, _ *http.Request, retryAfter time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	w.WriteHeader(http.StatusServiceUnavailable)
}

func start(tb testing.TB, config overload.Config, next http.HandlerFunc) limited {
	tb.Helper()
	config.Reject = reject
	limiter, err := overload.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return limited{limiter.Wrap(next), limiter}
}

// limited is a handler with its limiter.
type limited struct {
	http.Handler

	limiter *overload.Limiter
}

// Stats returns the limiter's statistics.
func (l limited) Stats() overload.Stats { return l.limiter.Stats() }

// serve serves a request and returns the status, or 0 if the handler aborted it.
func serve(ctx context.Context, h http.Handler, path string) (status int, header http.Header) {
	defer func() {
		if value := recover(); value != nil && value != http.ErrAbortHandler { //nolint:errorlint // never wrapped
			panic(value)
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, path, http.NoBody))
	return w.Code, w.Header()
}

// slow is a handler that takes a minute.
func slow(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }

func TestQueue_WaitsForSlotUntilTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 2, MaxQueue: 3, QueueTimeout: 40 * time.Second}, slow)
		type outcome struct {
			status int
			after  time.Duration
		}
		start := time.Now()
		outcomes := make([]outcome, 7)
		var calls sync.WaitGroup
		for i := range outcomes {
			if i == 3 {
				time.Sleep(30 * time.Second)
			}
			calls.Go(func() {
				status, header := serve(t.Context(), h, "/")
				outcomes[i] = outcome{status, time.Since(start)}
				after := header.Get("Retry-After")
				if hasRetryAfter := after != ""; hasRetryAfter != (status == http.StatusServiceUnavailable) {
					t.Errorf("call %d: status %d has Retry-After %q", i, status, after)
				}
			})
			synctest.Wait()
		}
		if got := h.Stats(); got != (overload.Stats{Running: 2, Waiting: 3, Rejected: 2}) {
			t.Errorf("under load: %+v", got)
		}
		calls.Wait()
		for i, want := range []outcome{
			{200, time.Minute},      // gets a slot
			{200, time.Minute},      // gets a slot
			{503, 40 * time.Second}, // waits until the timeout
			{200, 2 * time.Minute},  // waits and gets a slot
			{200, 2 * time.Minute},  // waits and gets a slot
			{503, 30 * time.Second}, // finds the queue full
			{503, 30 * time.Second}, // finds the queue full
		} {
			if outcomes[i] != want {
				t.Errorf("call %d: %+v, want %+v", i, outcomes[i], want)
			}
		}
		if got := h.Stats(); got != (overload.Stats{Rejected: 3}) {
			t.Errorf("at the end: %+v", got)
		}
	})
}

func TestQueue_IsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		h := start(t, overload.Config{MaxCalls: 1, MaxQueue: 10, QueueTimeout: time.Hour}, func(_ http.ResponseWriter, r *http.Request) {
			order = append(order, r.URL.Path) // guarded by the limit
			time.Sleep(time.Second)
		})
		var calls sync.WaitGroup
		for _, path := range []string{"/a", "/b", "/c", "/d", "/e"} {
			calls.Go(func() { serve(t.Context(), h, path) })
			synctest.Wait()
		}
		calls.Wait()
		if got := strings.Join(order, ""); got != "/a/b/c/d/e" {
			t.Errorf("the order is %s, want the order of arrival", got)
		}
	})
}

func TestLimiter_RejectsAtOnceWithoutQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1}, slow)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		start := time.Now()
		if status, _ := serve(t.Context(), h, "/"); status != http.StatusServiceUnavailable || time.Since(start) != 0 {
			t.Errorf("got status %d after %v, want 503 at once", status, time.Since(start))
		}
		running.Wait()
	})
}

func TestQueue_IsLeftByDisconnectedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1, MaxQueue: 1, QueueTimeout: time.Hour}, slow)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if status, _ := serve(ctx, h, "/"); status != 0 {
			t.Errorf("the request of a disconnected client got status %d", status)
		}
		if got := h.Stats(); got != (overload.Stats{Running: 1}) {
			t.Errorf("the statistics are %+v", got)
		}
		running.Wait()
	})
}

func TestExempt_IsServedUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1}, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				time.Sleep(time.Minute)
			}
		})
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		if status, _ := serve(request.NewContext(t.Context(), &request.Record{Kind: request.KindHealth}), h, "/health"); status != http.StatusOK {
			t.Errorf("the health check got status %d", status)
		}
		running.Wait()
		if got := h.Stats(); got != (overload.Stats{}) {
			t.Errorf("the statistics are %+v", got)
		}
	})
}

func TestReject_SetsRecordAndSpreadsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1}, slow)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		seen := make(map[string]bool)
		for range 200 {
			c := new(request.Record)
			_, header := serve(request.NewContext(t.Context(), c), h, "/")
			if c.RejectedBy != overload.Code {
				t.Fatalf("RejectedBy is %q", c.RejectedBy)
			}
			seen[header.Get("Retry-After")] = true
		}
		for _, seconds := range []string{"1", "2", "3", "4", "5"} {
			if !seen[seconds] {
				t.Errorf("no Retry-After of %s seconds in 200 rejections", seconds)
			}
		}
		if len(seen) != 5 {
			t.Errorf("the Retry-After values are %v", seen)
		}
		running.Wait()
	})
}

func TestLimiter_ReleasesSlotAfterPanic(t *testing.T) {
	h := start(t, overload.Config{MaxCalls: 1}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for range 3 {
		serve(t.Context(), h, "/")
	}
	if got := h.Stats(); got != (overload.Stats{}) {
		t.Errorf("the statistics are %+v", got)
	}
}

func TestNew_RejectsInvalidConfig(t *testing.T) {
	for _, row := range []struct {
		name   string
		config overload.Config
		says   string
	}{
		{"no slots", overload.Config{Reject: reject}, "MaxCalls"},
		{"a negative queue", overload.Config{MaxCalls: 1, MaxQueue: -1, Reject: reject}, "MaxQueue"},
		{"a queue without a timeout", overload.Config{MaxCalls: 1, MaxQueue: 1, Reject: reject}, "QueueTimeout"},
		{"no Reject", overload.Config{MaxCalls: 1}, "Reject"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := overload.New(row.config); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got error %v, want one about %s", err, row.says)
			}
		})
	}
}
