package ratelimit_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestHeaders_HaveOpenAIsFormat(t *testing.T) {
	for _, test := range []struct {
		name   string
		states ratelimit.States
		want   http.Header
	}{
		{"no limit", ratelimit.States{}, http.Header{}},
		{
			"only requests",
			ratelimit.States{Requests: &ratelimit.State{Limit: 60, Remaining: 59, Reset: time.Second}},
			http.Header{"X-Ratelimit-Limit-Requests": {"60"}, "X-Ratelimit-Remaining-Requests": {"59"}, "X-Ratelimit-Reset-Requests": {"1s"}},
		},
		{
			"only tokens",
			ratelimit.States{Tokens: &ratelimit.State{Limit: 150000, Remaining: 149984, Reset: 6 * time.Minute}},
			http.Header{"X-Ratelimit-Limit-Tokens": {"150000"}, "X-Ratelimit-Remaining-Tokens": {"149984"}, "X-Ratelimit-Reset-Tokens": {"6m0s"}},
		},
		{
			"less than a second is rounded up to milliseconds",
			ratelimit.States{Requests: &ratelimit.State{Limit: 1, Reset: 119*time.Millisecond + 1}},
			http.Header{"X-Ratelimit-Limit-Requests": {"1"}, "X-Ratelimit-Remaining-Requests": {"0"}, "X-Ratelimit-Reset-Requests": {"120ms"}},
		},
		{
			"a day is in hours, and a reset in the past is 0",
			ratelimit.States{Requests: &ratelimit.State{Limit: 1, Reset: -time.Second}, Tokens: &ratelimit.State{Limit: 1, Reset: 24 * time.Hour}},
			http.Header{
				"X-Ratelimit-Limit-Requests": {"1"}, "X-Ratelimit-Remaining-Requests": {"0"}, "X-Ratelimit-Reset-Requests": {"0s"},
				"X-Ratelimit-Limit-Tokens": {"1"}, "X-Ratelimit-Remaining-Tokens": {"0"}, "X-Ratelimit-Reset-Tokens": {"24h0m0s"},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.states.Header(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}

func TestRejection_HasOpenAIsFormat(t *testing.T) {
	for _, test := range []struct {
		name      string
		rejection ratelimit.Rejection
		kind      string
		message   string
		header    http.Header
	}{
		{
			"requests",
			ratelimit.Rejection{Kind: ratelimit.RequestsPerMinute, Scope: "alice", Limit: 60, RetryAfter: 12300 * time.Millisecond},
			"requests", "Rate limit reached for alice on requests per min (RPM): Limit 60. Please try again in 12.3s.",
			http.Header{"Retry-After": {"13"}, "Retry-After-Ms": {"12300"}},
		},
		{
			"tokens per minute",
			ratelimit.Rejection{Kind: ratelimit.TokensPerMinute, Scope: "alice", Limit: 1000, RetryAfter: 20 * time.Millisecond},
			"tokens", "Rate limit reached for alice on tokens per min (TPM): Limit 1000. Please try again in 20ms.",
			http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"20"}},
		},
		{
			"tokens per day",
			ratelimit.Rejection{Kind: ratelimit.TokensPerDay, Scope: "alice", Limit: 5, RetryAfter: 90 * time.Minute},
			"tokens", "Rate limit reached for alice on tokens per day (TPD): Limit 5. Please try again in 1h30m0s.",
			http.Header{"Retry-After": {"5400"}, "Retry-After-Ms": {"5400000"}, "X-Should-Retry": {"false"}},
		},
		{
			"tokens per day with a short wait",
			ratelimit.Rejection{Kind: ratelimit.TokensPerDay, Scope: "alice", Limit: 5, RetryAfter: 2 * time.Minute},
			"tokens", "Rate limit reached for alice on tokens per day (TPD): Limit 5. Please try again in 2m0s.",
			http.Header{"Retry-After": {"120"}, "Retry-After-Ms": {"120000"}},
		},
		{
			"streams",
			ratelimit.Rejection{Kind: ratelimit.ConcurrentStreams, Scope: "alice", Limit: 3, RetryAfter: time.Second},
			"requests", "Rate limit reached for alice on concurrent streams: Limit 3. Please try again in 1s.",
			http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"1000"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.rejection.Type(); got != test.kind {
				t.Errorf("Type() = %q, want %q", got, test.kind)
			}
			if got := test.rejection.Code(); got != "rate_limit_exceeded" {
				t.Errorf("Code() = %q", got)
			}
			if got := test.rejection.Message(); got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
			if got := test.rejection.Header(); !reflect.DeepEqual(got, test.header) {
				t.Errorf("got  %v\nwant %v", got, test.header)
			}
		})
	}
}
