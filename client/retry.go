package client

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"connectrpc.com/connect/v2"
)

// Backoff parameters, the same as in OpenAI's SDKs.
const (
	initialBackoff = 500 * time.Millisecond
	maxBackoff     = 8 * time.Second
	// maxRetryAfter is the longest Retry-After that is obeyed. With a longer one
	// the error is returned.
	maxRetryAfter = 2 * time.Minute
	// jitterDivisor divides a backoff into its maximum random reduction.
	jitterDivisor = 4
)

// idempotencyKey is the header that lets an upstream recognize a retry.
const idempotencyKey = "Idempotency-Key"

// POST requests carry an Idempotency-Key, since they are not idempotent.
const (
	withKey    = true
	withoutKey = false
)

// retry makes a call and retries it as documented at [WithMaxRetries]. Its error
// is an *Error.
func retry[T any](ctx context.Context, retries int, keyed bool, call func(context.Context) (T, error)) (T, error) {
	info, ok := connect.CallInfoForClientContext(ctx)
	if !ok {
		ctx, info = connect.NewClientContext(ctx)
	}
	if keyed && !info.RequestHeader().Has(idempotencyKey) {
		info.RequestHeader().Set(idempotencyKey, "openai-connect-"+rand.Text())
		defer info.RequestHeader().Delete(idempotencyKey) // The caller may use the context for another call.
	}
	for attempt := 0; ; attempt++ {
		result, err := call(ctx)
		if err == nil {
			return result, nil
		}
		failed := newError(ctx, err)
		if attempt >= retries || ctx.Err() != nil || !failed.isTransient() {
			return result, failed
		}
		delay, ok := failed.delay(attempt)
		if !ok || !sleep(ctx, delay) {
			failed.contextErr = ctx.Err()
			return result, failed
		}
	}
}

// delay returns the delay before the next attempt. It reports false if the
// upstream's Retry-After is too long. The first attempt is 0.
func (e *Error) delay(attempt int) (time.Duration, bool) {
	if e.hasRetryAfter {
		return e.RetryAfter, e.RetryAfter <= maxRetryAfter
	}
	backoff := maxBackoff
	if shift := min(attempt, 10); initialBackoff<<shift < maxBackoff {
		backoff = initialBackoff << shift
	}
	return backoff - mathrand.N(backoff/jitterDivisor), true //nolint:gosec // jitter needs no secrecy
}

// sleep waits for delay and reports true. It reports false if the context ends
// first, at once if its deadline is certain to pass.
func sleep(ctx context.Context, delay time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
