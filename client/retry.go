package client

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"connectrpc.com/connect/v2"
)

// The times of a retry, as OpenAI's own clients have them.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 8 * time.Second
	// maxAsked is the longest wait that an upstream may ask for: with a longer
	// one, the error goes to the caller, who may know better.
	maxAsked = 2 * time.Minute
	// jitterParts is by what part of itself a backoff is made shorter, at most.
	jitterParts = 4
)

// idempotencyKey is the header by which an upstream may tell a call that is made
// again from another one.
const idempotencyKey = "Idempotency-Key"

// Whether a call has an idempotency-key: a POST has, as it isn't idempotent.
const (
	withKey    = true
	withoutKey = false
)

// retry makes a call, and makes it again as [WithMaxRetries] says. Its error is
// an *Error.
func retry[T any](ctx context.Context, retries int, keyed bool, call func(context.Context) (T, error)) (T, error) {
	info, ok := connect.CallInfoForClientContext(ctx)
	if !ok {
		ctx, info = connect.NewClientContext(ctx)
	}
	if keyed && !info.RequestHeader().Has(idempotencyKey) {
		info.RequestHeader().Set(idempotencyKey, "openai-connect-"+rand.Text())
		defer info.RequestHeader().Delete(idempotencyKey) // The context may be another call's too.
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
			failed.ended = ctx.Err()
			return result, failed
		}
	}
}

// delay is how long to wait before the next try, after so many that there were
// before this one. It is false where the upstream asks for too long a wait.
func (e *Error) delay(attempt int) (time.Duration, bool) {
	if e.asksToWait {
		return e.RetryAfter, e.RetryAfter <= maxAsked
	}
	backoff := maxBackoff
	if shift := min(attempt, 10); firstBackoff<<shift < maxBackoff {
		backoff = firstBackoff << shift
	}
	return backoff - mathrand.N(backoff/jitterParts), true //nolint:gosec // spreads load, keeps no secret
}

// sleep waits. It is false, at once where that is sure before, when the context
// ends first.
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
