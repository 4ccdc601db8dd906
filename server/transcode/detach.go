package transcode

import (
	"context"
	"io"
	"time"
)

// drainTime and drainBytes limit the draining of a body.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 4 << 10
)

// upstreamContext controls the context of an upstream request. The context ends
// with the call, unless the call is complete and drain detaches it.
type upstreamContext struct {
	cancel context.CancelCauseFunc
	detach func() bool // stops following the call; false if the call has ended
}

// newUpstreamContext returns a context for the upstream request of a call. It is
// done when the call is, until it is detached.
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

// drain reads body to its end in the background, so that the connection can be
// reused, and then cancels the context. Nothing is expected after the last event
// of a stream but the end of the body. The call does not wait for it.
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
