package sdk_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// hand makes calls of the Chat API in one way. Requests are given and answers
// returned as OpenAI's JSON; a call that the upstream refuses has a *failure.
type hand interface {
	create(ctx context.Context, body []byte) ([]byte, error)
	// stream returns the events that came, with an error too.
	stream(ctx context.Context, body []byte) ([][]byte, error)
	get(ctx context.Context, id string) ([]byte, error)
	update(ctx context.Context, id string, metadata map[string]string) ([]byte, error)
	remove(ctx context.Context, id string) ([]byte, error)
	list(ctx context.Context, p page) ([]byte, error)
	// listMessages takes no model and no metadata.
	listMessages(ctx context.Context, id string, p page) ([]byte, error)
}

// page is what is asked for of a list. What is nil or empty is not asked for.
type page struct {
	model    *string
	metadata map[string]string
	after    *string
	limit    *int
	order    string
}

// failure is an error as the upstream stated it.
type failure struct {
	status int
	body   []byte // the error object
	id     string // of the request
	retry  time.Duration
}

// never is the delay of a failure that doesn't say when to try again.
const never time.Duration = -1

func (f *failure) Error() string { return fmt.Sprintf("status %d: %s", f.status, f.body) }

// sameFailure returns in what two failures differ.
func sameFailure(a, b *failure) error {
	switch {
	case a.status != b.status:
		return fmt.Errorf("the statuses are %d and %d", a.status, b.status)
	case a.retry != b.retry:
		return fmt.Errorf("the delays are %v and %v", a.retry, b.retry)
	}
	return equal(a.body, b.body)
}

// patience is how long a call may take.
const patience = 20 * time.Second

// bench is a server in front of the embedded upstream, with a client of each
// kind.
type bench struct {
	upstream  *upstream
	protocols []servertest.Protocol
	typed     []chatv1connect.ChatServiceClient // by protocol
	sdk       openai.Client
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{upstream: startUpstream(tb), protocols: servertest.Protocols()}
	front := servertest.Start(tb, server.Config{Upstream: b.upstream.recorder.URL})
	for _, protocol := range b.protocols {
		b.typed = append(b.typed, front.Client(tb, protocol))
	}
	b.sdk = front.SDK(tb)
	return b
}

// work is some calls; it returns the answers.
type work func(context.Context, hand) ([][]byte, error)

// one is the answer of a single call.
func one(answer []byte, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	return [][]byte{answer}, nil
}

// done is what came of some work.
type done struct {
	answers [][]byte
	failed  *failure // nil if no call was refused
	seen    []seen
}

func (d done) isRefused() bool { return d.failed != nil }

// bothWays does some work typed, in the protocol of a number, and by the SDK,
// each time with a new upstream. The error is in what they differ.
func (b *bench) bothWays(number int, control control, do work) (done, error) {
	number %= len(b.typed)
	byTyped, err := b.do(typedHand{b.typed[number], control}, do)
	if err != nil {
		return done{}, fmt.Errorf("typed over %s: %w", b.protocols[number].Name, err)
	}
	bySDK, err := b.do(sdkHand{b.sdk, control}, do)
	if err != nil {
		return done{}, fmt.Errorf("by the SDK: %w", err)
	}
	if err := sameDone(byTyped, bySDK); err != nil {
		return done{}, fmt.Errorf("over %s and by the SDK: %w", b.protocols[number].Name, err)
	}
	return byTyped, nil
}

func (b *bench) do(h hand, do work) (result done, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.upstream.renew()
	result.answers, err = do(ctx, h)
	if err != nil {
		refused, is := err.(*failure) //nolint:errorlint // One that is wrapped is another.
		if !is {
			return result, err
		}
		result.failed = refused
	}
	if result.seen, err = b.upstream.take(); err != nil {
		return result, err
	}
	if result.failed != nil {
		if last := result.seen[len(result.seen)-1]; result.failed.id != last.id {
			return result, fmt.Errorf("the failed request had the id %q, not %q", last.id, result.failed.id)
		}
	}
	return result, nil
}

// sameDone returns in what two results differ: what the upstream saw, what was
// answered, and how it failed.
func sameDone(a, b done) error {
	for i := range min(len(a.seen), len(b.seen)) {
		if err := sameRequest(a.seen[i], b.seen[i]); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	for i := range min(len(a.answers), len(b.answers)) {
		if err := equal(a.answers[i], b.answers[i]); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	switch {
	case a.isRefused() && b.isRefused():
		if err := sameFailure(a.failed, b.failed); err != nil {
			return fmt.Errorf("the errors: %w", err)
		}
	case a.isRefused():
		return fmt.Errorf("only the first was refused: %w", a.failed)
	case b.isRefused():
		return fmt.Errorf("only the second was refused: %w", b.failed)
	}
	if len(a.seen) != len(b.seen) || len(a.answers) != len(b.answers) {
		return fmt.Errorf("%d and %d requests were seen, %d and %d answers came", len(a.seen), len(b.seen), len(a.answers), len(b.answers))
	}
	return nil
}
