package ratelimit

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Header has OpenAI's x-ratelimit fields, in the form that
// https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
// documents. It is empty without limits, and the caller's to change.
func (s States) Header() http.Header {
	header := make(http.Header)
	for what, state := range map[string]*State{"Requests": s.Requests, "Tokens": s.Tokens} {
		if state != nil {
			header.Set("X-Ratelimit-Limit-"+what, strconv.FormatInt(state.Limit, 10))
			header.Set("X-Ratelimit-Remaining-"+what, strconv.FormatInt(state.Remaining, 10))
			header.Set("X-Ratelimit-Reset-"+what, period(state.Reset))
		}
	}
	return header
}

// longWait is a wait behind which a client should not try again by itself. OpenAI's
// SDK for Go has the same bound. That for Node.js has none, and would wait for a day.
const longWait = 2 * time.Minute

// Header tells when to try again: retry-after in whole seconds (RFC 9110, section
// 10.2.3), and retry-after-ms in milliseconds, which OpenAI's SDKs prefer. Both are
// rounded up. Where that is in more than two minutes, x-should-retry is false, by
// which these SDKs give the error to the caller instead of waiting. It is the
// caller's to change.
func (r *Refusal) Header() http.Header {
	header := make(http.Header)
	header.Set("Retry-After", strconv.FormatInt(up(r.RetryAfter, time.Second), 10))
	header.Set("Retry-After-Ms", strconv.FormatInt(up(r.RetryAfter, time.Millisecond), 10))
	if r.RetryAfter > longWait {
		header.Set("X-Should-Retry", "false")
	}
	return header
}

// Code is the code of OpenAI's error.
func (r *Refusal) Code() string { return "rate_limit_exceeded" }

// Type is the type of OpenAI's error, "requests" or "tokens".
func (r *Refusal) Type() string {
	if r.Kind.tokens() {
		return "tokens"
	}
	return "requests"
}

// Message is what OpenAI's error says, in the words of OpenAI's own.
func (r *Refusal) Message() string {
	return fmt.Sprintf("Rate limit reached for %s on %s: Limit %d. Please try again in %s.",
		r.Scope, r.Kind.words(), r.Limit, period(r.RetryAfter))
}

// words are OpenAI's for the kind, where it has some.
func (k Kind) words() string {
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

// period is a time as OpenAI writes it, "1s", "6m0s" or "120ms", which is Go's way
// too. It is rounded up to milliseconds.
func period(d time.Duration) string {
	return (time.Duration(up(d, time.Millisecond)) * time.Millisecond).String()
}

// up is a time in a unit, rounded up, and not negative.
func up(d, unit time.Duration) int64 {
	d = max(d, 0)
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return n
}
