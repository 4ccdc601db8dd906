package httpx

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter returns how long a response asks to wait before a retry: in milliseconds, as
// OpenAI sends it, in seconds, or until a date (RFC 9110 §10.2.3). It reports whether the
// response does.
func RetryAfter(header http.Header) (time.Duration, bool) {
	if wait, ok := ParseWait(header.Get("Retry-After-Ms"), time.Millisecond); ok {
		return wait, true
	}
	value := header.Get("Retry-After")
	if wait, ok := ParseWait(value, time.Second); ok {
		return wait, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}

// ParseWait parses a number of units.
func ParseWait(number string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, false
	}
	return Units(n, unit)
}

// MaxWait is the result of [Units] for larger durations.
const MaxWait = 100 * 365 * 24 * time.Hour

// Units returns a number of units as a duration, unless the number is negative or NaN.
func Units(n float64, unit time.Duration) (time.Duration, bool) {
	if math.IsNaN(n) || n < 0 {
		return 0, false
	}
	return time.Duration(min(n*float64(unit), float64(MaxWait))), true
}
