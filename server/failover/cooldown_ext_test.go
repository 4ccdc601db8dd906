package failover_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// script is an upstream without a network, with fake time.
type script struct {
	status int // 0 refuses connections
	header http.Header
	delay  time.Duration
	asked  int
	at     []time.Time // when it was
}

func (s *script) send(ctx context.Context, _ *upstream.Request) (*http.Response, error) {
	s.asked++
	s.at = append(s.at, time.Now())
	status, header := s.status, s.header.Clone()
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if status == 0 {
		return nil, &upstream.Error{Kind: upstream.KindConnect, Host: "an.example"}
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: http.NoBody}, nil
}

// scripted returns a failover over scripts, named like names.
func scripted(t *testing.T, config failover.Config, scripts ...*script) *failover.Failover {
	t.Helper()
	for i, s := range scripts {
		config.Upstreams = append(config.Upstreams, failover.Upstream{
			Name: names[i], Sender: senderFunc(s.send), BaseURL: "https://an.example/v1",
		})
	}
	f, err := newFailover(config)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// outcome sends a request and returns upstream and status, "second 200", or the kind of the
// error.
func outcome(t *testing.T, f *failover.Failover) string {
	t.Helper()
	resp, err := f.Send(t.Context(), post(text))
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		return failure.Kind.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return fmt.Sprintf("%s %d", resp.Header.Get(failover.UpstreamHeader), resp.StatusCode)
}

func TestCooldown_SkipsAFailedUpstream(t *testing.T) {
	date := func(after time.Duration) string {
		return time.Now().Add(after).UTC().Format(http.TimeFormat)
	}
	for _, row := range []struct {
		name   string
		status int
		header func() http.Header
		length time.Duration
	}{
		{"no connection", 0, nil, 10 * time.Second},
		{"429", 429, nil, 10 * time.Second},
		{"503", 503, nil, 10 * time.Second},
		{"529", 529, nil, 10 * time.Second},
		{"502, though it is the client's answer", 502, nil, 10 * time.Second},
		{"504, though it is the client's answer", 504, nil, 10 * time.Second},
		{"500", 500, nil, 0},
		{"400", 400, nil, 0},
		{"a longer retry-after", 429, func() http.Header { return http.Header{"Retry-After": {"30"}} }, 30 * time.Second},
		{"a shorter retry-after", 429, func() http.Header { return http.Header{"Retry-After": {"1"}} }, 10 * time.Second},
		{"a retry-after in milliseconds", 429, func() http.Header {
			return http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"12500"}}
		}, 12500 * time.Millisecond},
		{"a retry-after of a date", 503, func() http.Header { return http.Header{"Retry-After": {date(time.Minute)}} }, time.Minute},
		{"a date in the past", 503, func() http.Header { return http.Header{"Retry-After": {date(-time.Minute)}} }, 10 * time.Second},
		{"a huge retry-after", 429, func() http.Header { return http.Header{"Retry-After": {"1e300"}} }, 5 * time.Minute},
		{"an invalid retry-after", 429, func() http.Header { return http.Header{"Retry-After": {"NaN"}} }, 10 * time.Second},
		{"a negative retry-after", 429, func() http.Header { return http.Header{"Retry-After": {"-5"}} }, 10 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := &script{status: row.status}, &script{status: 200}
				if row.header != nil {
					first.header = row.header()
				}
				f := scripted(t, failover.Config{}, first, second)
				outcome(t, f)
				first.status, first.header = 200, nil
				if row.length > 0 {
					time.Sleep(row.length - time.Nanosecond)
					if got := outcome(t, f); got != "second 200" || first.asked != 1 {
						t.Errorf("within its cooldown: got %q and %d requests", got, first.asked)
					}
					time.Sleep(time.Nanosecond)
				}
				for range 2 {
					if got := outcome(t, f); got != "first 200" {
						t.Errorf("after its cooldown: got %q", got)
					}
				}
			})
		})
	}
}

func TestCooldown_TriesAnUpstreamWhenAllCoolDown(t *testing.T) {
	for _, row := range []struct {
		name          string
		first, second int // the statuses with which they fail one after another
		then          [2]int
		answer        string
		asked         [2]int // by the last call
	}{
		{"the upstream whose cooldown ends first is tried", 503, 503, [2]int{200, 200}, "first 200", [2]int{1, 0}},
		{"its rejection is returned, and the other upstream is not tried", 503, 503, [2]int{429, 200}, "first 429", [2]int{1, 0}},
		{"if it can't be reached, the other upstream is tried too", 503, 503, [2]int{0, 200}, "second 200", [2]int{1, 1}},
		{"if none can be reached, the error is returned", 503, 503, [2]int{0, 0}, upstream.KindConnect.String(), [2]int{1, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := &script{status: row.first}, &script{status: 200}
				f := scripted(t, failover.Config{}, first, second)
				outcome(t, f)
				time.Sleep(time.Second)
				second.status = row.second
				outcome(t, f)
				first.status, second.status = row.then[0], row.then[1]
				first.asked, second.asked = 0, 0
				if got := outcome(t, f); got != row.answer {
					t.Errorf("got %q, want %q", got, row.answer)
				}
				if got := [2]int{first.asked, second.asked}; got != row.asked {
					t.Errorf("got %v requests, want %v", got, row.asked)
				}
			})
		})
	}
}

// After a cooldown an upstream may still be down, and a probe may take long. Only one request
// probes it.
func TestCooldown_ProbesWithOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &script{}, &script{status: 200}
		f := scripted(t, failover.Config{}, first, second)
		outcome(t, f)
		time.Sleep(failover.DefaultCooldown)
		first.delay, first.status = 5*time.Second, 200
		began := time.Now()
		slow := make(chan string)
		go func() { slow <- outcome(t, f) }()
		synctest.Wait()
		if got := outcome(t, f); got != "second 200" || time.Since(began) != 0 {
			t.Errorf("during the probe: got %q after %v", got, time.Since(began))
		}
		if got := <-slow; got != "first 200" {
			t.Errorf("the probe: got %q", got)
		}
		first.delay = 0
		if got := outcome(t, f); got != "first 200" {
			t.Errorf("after the probe: got %q", got)
		}
	})
}

func TestCooldown_ProbesAgainWhenTheProbeIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &script{}, &script{status: 200}
		f := scripted(t, failover.Config{}, first, second)
		outcome(t, f)
		time.Sleep(failover.DefaultCooldown)
		first.delay, first.status = 5*time.Second, 200
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Send(ctx, post(text)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v", err)
		}
		if got := outcome(t, f); got != "first 200" {
			t.Errorf("got %q", got)
		}
	})
}

func TestCooldown_IgnoresTheRateLimitOfAClientsOwnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &script{status: 429}, &script{status: 200}
		f := scripted(t, failover.Config{Policy: withClientKeys}, first, second)
		for range 2 {
			if got := outcome(t, f); got != "second 200" {
				t.Errorf("got %q", got)
			}
		}
		if first.asked != 2 {
			t.Errorf("the first upstream received %d requests", first.asked)
		}
	})
}

func TestBackoff_DoublesAndEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &script{}
		f := scripted(t, failover.Config{Retries: failover.MaxRetries}, away)
		if got := outcome(t, f); got != upstream.KindConnect.String() || len(away.at) != failover.MaxRetries+1 {
			t.Fatalf("got %q and requests at %v", got, away.at)
		}
		longest := 100 * time.Millisecond
		for i := range failover.MaxRetries {
			if pause := away.at[i+1].Sub(away.at[i]); pause < longest/2 || pause > longest {
				t.Errorf("backoff %d: got %v, want %v to %v", i, pause, longest/2, longest)
			}
			longest *= 2
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond) // in the first pause
		defer cancel()
		began := time.Now()
		if _, err := f.Send(ctx, post(text)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 10*time.Millisecond {
			t.Errorf("got error %v after %v", err, time.Since(began))
		}
	})
}

func TestBackoff_IsSkippedWithoutABodyToResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		request := post("")
		request.Body, request.ContentLength = strings.NewReader(text), -1
		f, err := newFailover(failover.Config{Retries: 1, Upstreams: []failover.Upstream{{
			Name: "first", BaseURL: "https://an.example/v1",
			Sender: senderFunc(func(_ context.Context, req *upstream.Request) (*http.Response, error) {
				_, _ = req.Body.Read(make([]byte, 1))
				return nil, &upstream.Error{Kind: upstream.KindConnect}
			}),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Send(t.Context(), request); err == nil || time.Since(began) != 0 {
			t.Errorf("got error %v after %v", err, time.Since(began))
		}
	})
}
