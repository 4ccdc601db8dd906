package transcode

import (
	"context"
	"io"
	"time"
)

// drainTime and drainBytes bound what a connection is given to come to the end
// of a body.
const (
	drainTime  = 100 * time.Millisecond
	drainBytes = 4 << 10
)

// lease is a call's hold on the upstream's connection. It ends with the call,
// except that a call which has all of its answer may leave the connection to
// end the body by itself: see drain.
type lease struct {
	cancel context.CancelCauseFunc
	unbind func() bool // from the call; reports whether this was what did it
}

// newLease returns a context for the upstream request of a call, which is done
// when the call's is or the lease ends.
func newLease(call context.Context) (context.Context, lease) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(call))
	unbind := context.AfterFunc(call, func() { cancel(context.Cause(call)) })
	return ctx, lease{cancel, unbind}
}

// end ends the lease, unless drain has.
func (l lease) end() {
	if l.unbind() {
		l.cancel(nil)
	}
}

// drain ends the lease when body has ended, which should be at once: behind the
// last event of a stream comes nothing but the mark of the body's end. Only
// behind that can the connection serve another request. The call doesn't wait
// for it.
func (l lease) drain(body io.ReadCloser) {
	if !l.unbind() {
		_ = body.Close()
		return
	}
	timer := time.AfterFunc(drainTime, func() { l.cancel(nil) })
	go func() {
		_, _ = io.CopyN(io.Discard, body, drainBytes)
		_ = body.Close()
		timer.Stop()
		l.cancel(nil)
	}()
}
