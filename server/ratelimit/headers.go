package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Header returns OpenAI's x-ratelimit headers in the format of
// https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers. The caller
// may change it.
func (s States) Header() http.Header {
	header := make(http.Header)
	for suffix, state := range map[string]*State{"Requests": s.Requests, "Tokens": s.Tokens} {
		if state != nil {
			header.Set("X-Ratelimit-Limit-"+suffix, strconv.FormatInt(state.Limit, 10))
			header.Set("X-Ratelimit-Remaining-"+suffix, strconv.FormatInt(state.Remaining, 10))
			header.Set("X-Ratelimit-Reset-"+suffix, formatDuration(state.Reset))
		}
	}
	return header
}

// maxRetryWait is the longest wait after which a client should retry automatically.
// OpenAI's SDK for Go has the same bound. The SDK for Node.js is without a bound and would
// wait for a day.
const maxRetryWait = 2 * time.Minute

// Header returns Retry-After in whole seconds (RFC 9110, section 10.2.3) and
// Retry-After-Ms in milliseconds, which OpenAI's SDKs prefer. Both are rounded up. If the
// wait is longer than two minutes, X-Should-Retry is false, so that these SDKs return the
// error instead of waiting. The caller may change the returned header.
func (r *Rejection) Header() http.Header {
	header := make(http.Header)
	header.Set("Retry-After", strconv.FormatInt(ceil(r.RetryAfter, time.Second), 10))
	header.Set("Retry-After-Ms", strconv.FormatInt(ceil(r.RetryAfter, time.Millisecond), 10))
	if r.RetryAfter > maxRetryWait {
		header.Set("X-Should-Retry", "false")
	}
	return header
}

// Code returns the code of OpenAI's error.
func (r *Rejection) Code() string { return "rate_limit_exceeded" }

// Type returns the type of OpenAI's error, "requests" or "tokens".
func (r *Rejection) Type() string {
	if r.Kind.countsTokens() {
		return "tokens"
	}
	return "requests"
}

// Message returns the message of the error, in OpenAI's wording.
func (r *Rejection) Message() string {
	return fmt.Sprintf("Rate limit reached for %s on %s: Limit %d. Please try again in %s.",
		r.Scope, r.Kind.label(), r.Limit, formatDuration(r.RetryAfter))
}

// label returns OpenAI's name of the kind, if OpenAI has such limits.
func (k Kind) label() string {
	switch k {
	case RequestsPerMinute:
		return "requests per min (RPM)"
	case TokensPerMinute:
		return "tokens per min (TPM)"
	case TokensPerDay:
		return "tokens per day (TPD)"
	default:
		return "concurrent streams"
	}
}

// formatDuration formats a duration as OpenAI does, "1s", "6m0s" or "120ms", rounded up to
// milliseconds.
func formatDuration(d time.Duration) string {
	return (time.Duration(ceil(d, time.Millisecond)) * time.Millisecond).String()
}

// ceil returns d in units, rounded up, at least 0.
func ceil(d, unit time.Duration) int64 {
	d = max(d, 0)
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}
