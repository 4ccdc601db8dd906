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

// refuse is a refusal as tests can read it.
func refuse(w http.ResponseWriter, _ *http.Request, retryAfter time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	w.WriteHeader(http.StatusServiceUnavailable)
}

func start(tb testing.TB, config overload.Config, next http.HandlerFunc) limited {
	tb.Helper()
	config.Refuse = refuse
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

// serve serves a request, and returns the status, 0 if the handler gave it up.
func serve(ctx context.Context, h http.Handler, path string) (status int, header http.Header) {
	defer func() {
		if broken := recover(); broken != nil && broken != http.ErrAbortHandler { //nolint:errorlint // it is that one
			panic(broken)
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, path, http.NoBody))
	return w.Code, w.Header()
}

// takes is a handler each of whose calls takes a minute.
func takes(http.ResponseWriter, *http.Request) { time.Sleep(time.Minute) }

func TestCallsBeyondTheLimitWaitForTheirTurnAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 2, MaxQueue: 3, QueueTimeout: 40 * time.Second}, takes)
		type outcome struct {
			status int
			after  time.Duration
		}
		began := time.Now()
		outcomes := make([]outcome, 7)
		var calls sync.WaitGroup
		for i := range outcomes {
			if i == 3 {
				time.Sleep(30 * time.Second)
			}
			calls.Go(func() {
				status, header := serve(t.Context(), h, "/")
				outcomes[i] = outcome{status, time.Since(began)}
				after := header.Get("Retry-After")
				if told := after != ""; told != (status == http.StatusServiceUnavailable) {
					t.Errorf("call %d: status %d has retry-after %q", i, status, after)
				}
			})
			synctest.Wait()
		}
		if got := h.Stats(); got != (overload.Stats{Running: 2, Waiting: 3, Refused: 2}) {
			t.Errorf("at first: %+v", got)
		}
		calls.Wait()
		for i, want := range []outcome{
			{200, time.Minute},      // runs
			{200, time.Minute},      // runs
			{503, 40 * time.Second}, // waits, and its turn does not come
			{200, 2 * time.Minute},  // waits, and it comes
			{200, 2 * time.Minute},  // so does this one
			{503, 30 * time.Second}, // finds the queue full
			{503, 30 * time.Second}, // so does this one
		} {
			if outcomes[i] != want {
				t.Errorf("call %d: %+v, want %+v", i, outcomes[i], want)
			}
		}
		if got := h.Stats(); got != (overload.Stats{Refused: 3}) {
			t.Errorf("in the end: %+v", got)
		}
	})
}

func TestTheQueueKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		h := start(t, overload.Config{MaxCalls: 1, MaxQueue: 10, QueueTimeout: time.Hour}, func(_ http.ResponseWriter, r *http.Request) {
			order = append(order, r.URL.Path) // one at a time
			time.Sleep(time.Second)
		})
		var calls sync.WaitGroup
		for _, path := range []string{"/a", "/b", "/c", "/d", "/e"} {
			calls.Go(func() { serve(t.Context(), h, path) })
			synctest.Wait()
		}
		calls.Wait()
		if got := strings.Join(order, ""); got != "/a/b/c/d/e" {
			t.Errorf("the order is %s", got)
		}
	})
}

func TestWithoutAQueueARefusalComesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1}, takes)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		began := time.Now()
		if status, _ := serve(t.Context(), h, "/"); status != http.StatusServiceUnavailable || time.Since(began) != 0 {
			t.Errorf("%d after %v", status, time.Since(began))
		}
		running.Wait()
	})
}

func TestAClientWhoLeavesTheQueueIsCountedAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1, MaxQueue: 1, QueueTimeout: time.Hour}, takes)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if status, _ := serve(ctx, h, "/"); status != 0 {
			t.Errorf("it was answered %d", status)
		}
		if got := h.Stats(); got != (overload.Stats{Running: 1}) {
			t.Errorf("%+v", got)
		}
		running.Wait()
	})
}

func TestWhatIsExemptIsServedInAnyCase(t *testing.T) {
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
			t.Errorf("the health check was answered %d", status)
		}
		running.Wait()
		if got := h.Stats(); got != (overload.Stats{}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestARefusalTellsTheCallAndSpreadsTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, overload.Config{MaxCalls: 1}, takes)
		var running sync.WaitGroup
		running.Go(func() { serve(t.Context(), h, "/") })
		synctest.Wait()
		seen := make(map[string]bool)
		for range 200 {
			c := new(request.Record)
			_, header := serve(request.NewContext(t.Context(), c), h, "/")
			if c.RejectedBy != overload.Code {
				t.Fatalf("the call was refused for %q", c.RejectedBy)
			}
			seen[header.Get("Retry-After")] = true
		}
		for _, seconds := range []string{"1", "2", "3", "4", "5"} {
			if !seen[seconds] {
				t.Errorf("nobody was told %s seconds", seconds)
			}
		}
		if len(seen) != 5 {
			t.Errorf("the seconds are %v", seen)
		}
		running.Wait()
	})
}

func TestACallThatPanicsGivesItsTurnBack(t *testing.T) {
	h := start(t, overload.Config{MaxCalls: 1}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for range 3 {
		serve(t.Context(), h, "/")
	}
	if got := h.Stats(); got != (overload.Stats{}) {
		t.Errorf("%+v", got)
	}
}

func TestAConfigurationThatServesNobodyIsRefused(t *testing.T) {
	for _, row := range []struct {
		name   string
		config overload.Config
		says   string
	}{
		{"no calls", overload.Config{Refuse: refuse}, "MaxCalls"},
		{"a negative queue", overload.Config{MaxCalls: 1, MaxQueue: -1, Refuse: refuse}, "MaxQueue"},
		{"a queue without time", overload.Config{MaxCalls: 1, MaxQueue: 1, Refuse: refuse}, "QueueTimeout"},
		{"no way to refuse", overload.Config{MaxCalls: 1}, "Refuse"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := overload.New(row.config); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("the error is %v, want one of %s", err, row.says)
			}
		})
	}
}
