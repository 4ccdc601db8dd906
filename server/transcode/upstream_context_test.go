package transcode

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

func awaitEnd(ctx context.Context, t *testing.T, what string) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatalf("%s did not end it", what)
	}
}

func TestUpstreamContext_EndsWithItsCall(t *testing.T) {
	t.Parallel()
	type key struct{}
	errWhy := errors.New("a reason")
	call, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
	ctx, control := newUpstreamContext(call)
	defer control.end()
	if ctx.Value(key{}) != "value" {
		t.Error("the call's values are lost")
	}
	if ctx.Err() != nil {
		t.Fatal("it has ended before the call")
	}
	cancel(errWhy)
	awaitEnd(ctx, t, "the call")
	if cause := context.Cause(ctx); !errors.Is(cause, errWhy) {
		t.Errorf("it ended with %v, not with the call's cause", cause)
	}
}

func TestUpstreamContext_EndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	call, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	ctx, control := newUpstreamContext(call)
	defer control.end()
	awaitEnd(ctx, t, "the deadline")
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("it ended with %v, not with the deadline", cause)
	}
}

func TestUpstreamContext_End(t *testing.T) {
	t.Parallel()
	ctx, control := newUpstreamContext(t.Context())
	control.end()
	control.end()
	if ctx.Err() == nil {
		t.Error("it goes on")
	}
}

// body records reads and the close of a body.
type body struct {
	io.Reader

	closed chan struct{}
}

func newBody(r io.Reader) body { return body{r, make(chan struct{})} }

func (b body) Close() error {
	close(b.closed)
	return nil
}

func TestDrain_OutlivesTheCallUntilTheBodyEnds(t *testing.T) {
	t.Parallel()
	call, cancel := context.WithCancel(t.Context())
	ctx, control := newUpstreamContext(call)
	source, upstream := io.Pipe()
	draining := newBody(source)
	control.drain(draining)
	control.end()
	cancel()
	if ctx.Err() != nil {
		t.Error("the end of the call ended it")
	}
	if _, err := io.WriteString(upstream, "more"); err != nil {
		t.Error(err)
	}
	upstream.Close()
	<-draining.closed
	awaitEnd(ctx, t, "the end of the body")
}

func TestDrain_IsBoundedInTime(t *testing.T) {
	t.Parallel()
	ctx, control := newUpstreamContext(t.Context())
	source, upstream := io.Pipe()
	// Like a transport's body, it fails when the context is done.
	context.AfterFunc(ctx, func() { upstream.CloseWithError(context.Cause(ctx)) })
	draining := newBody(source)
	control.drain(draining)
	awaitEnd(ctx, t, "the time that a drain may take")
	<-draining.closed
}

func TestDrain_IsBoundedInSize(t *testing.T) {
	t.Parallel()
	_, control := newUpstreamContext(t.Context())
	rest := strings.NewReader(strings.Repeat("x", drainBytes+1))
	draining := newBody(rest)
	control.drain(draining)
	<-draining.closed
	if rest.Len() != 1 {
		t.Errorf("%d bytes are left, not 1", rest.Len())
	}
}

func TestDrain_ClosesBodyOfEndedCall(t *testing.T) {
	t.Parallel()
	call, cancel := context.WithCancel(t.Context())
	cancel()
	ctx, control := newUpstreamContext(call)
	awaitEnd(ctx, t, "the call")
	rest := strings.NewReader("x")
	draining := newBody(rest)
	control.drain(draining)
	<-draining.closed
	if rest.Len() != 1 {
		t.Error("it was read")
	}
}
