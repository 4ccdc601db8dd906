package transcode

import (
	"context"
	"io"
	"time"
)

// drainTime and drainBytes limit how long and how much drain reads.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 4 << 10
)

// upstreamContext controls the context of an upstream request. The context is canceled
// when the call ends, unless drain detaches it from the call.
type upstreamContext struct {
	cancel context.CancelCauseFunc
	detach func() bool // detaches the context from the call; false if the call has ended
}

// newUpstreamContext returns a context for the upstream request of a call, and the value
// that controls it. Canceling the context call cancels it, unless drain has been called.
func newUpstreamContext(call context.Context) (context.Context, upstreamContext) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(call))
	detach := context.AfterFunc(call, func() { cancel(context.Cause(call)) })
	return ctx, upstreamContext{cancel, detach}
}

// end cancels the context, unless drain has been called.
func (c upstreamContext) end() {
	if c.detach() {
		c.cancel(nil)
	}
}

// drain reads the rest of the body in the background, so that the connection can be
// reused, and then cancels the context. It must be called after the last event of a
// stream, when only the end of the body is missing. The call does not wait for it.
func (c upstreamContext) drain(body io.ReadCloser) {
	if !c.detach() {
		_ = body.Close()
		return
	}
	timer := time.AfterFunc(drainTime, func() { c.cancel(nil) })
	go func() {
		_, _ = io.CopyN(io.Discard, body, drainBytes)
		_ = body.Close()
		timer.Stop()
		c.cancel(nil)
	}()
}
