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

// chatClient calls the Chat API. Requests and responses are OpenAI's JSON. A call that
// the upstream rejects returns a *failure.
type chatClient interface {
	create(ctx context.Context, body []byte) ([]byte, error)
	// stream returns the received events, also with an error.
	stream(ctx context.Context, body []byte) ([][]byte, error)
	get(ctx context.Context, id string) ([]byte, error)
	update(ctx context.Context, id string, metadata map[string]string) ([]byte, error)
	remove(ctx context.Context, id string) ([]byte, error)
	list(ctx context.Context, p page) ([]byte, error)
	// listMessages ignores the page's model and metadata.
	listMessages(ctx context.Context, id string, p page) ([]byte, error)
}

// page holds the parameters of a list request. Zero fields are omitted.
type page struct {
	model    *string
	metadata map[string]string
	after    *string
	limit    *int
	order    string
}

// failure is an error reported by the upstream.
type failure struct {
	status int
	body   []byte // the error object
	id     string // request ID
	retry  time.Duration
}

// never is the retry delay of a failure without one.
const never time.Duration = -1

func (f *failure) Error() string { return fmt.Sprintf("status %d: %s", f.status, f.body) }

// compareFailures reports how two failures differ.
func compareFailures(a, b *failure) error {
	switch {
	case a.status != b.status:
		return fmt.Errorf("status %d differs from %d", a.status, b.status)
	case a.retry != b.retry:
		return fmt.Errorf("retry delay %v differs from %v", a.retry, b.retry)
	}
	return compareJSON(a.body, b.body)
}

// callTimeout is the maximum duration of an operation.
const callTimeout = 20 * time.Second

// harness is a server in front of the embedded upstream, with a client of each kind.
type harness struct {
	upstream  *upstream
	protocols []servertest.Protocol
	typed     []chatv1connect.ChatServiceClient // by protocol
	sdk       openai.Client
}

func newHarness(tb testing.TB) *harness {
	tb.Helper()
	b := &harness{upstream: startUpstream(tb), protocols: servertest.Protocols()}
	front := servertest.Start(tb, server.Config{Upstream: b.upstream.recorder.URL})
	for _, protocol := range b.protocols {
		b.typed = append(b.typed, front.Client(tb, protocol))
	}
	b.sdk = front.SDK(tb)
	return b
}

// operation makes calls and returns the responses.
type operation func(context.Context, chatClient) ([][]byte, error)

// single returns the response of a single call as a slice.
func single(response []byte, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	return [][]byte{response}, nil
}

// outcome holds the result of an operation.
type outcome struct {
	responses [][]byte
	failed    *failure // nil if no call was rejected
	received  []received
}

func (d outcome) isRejected() bool { return d.failed != nil }

// callBoth runs an operation with the typed API, over the protocol selected by number,
// and with the SDK. It resets the upstream before each run and reports how the outcomes
// differ.
func (b *harness) callBoth(number int, control control, op operation) (outcome, error) {
	number %= len(b.typed)
	typed, err := b.run(typedClient{b.typed[number], control}, op)
	if err != nil {
		return outcome{}, fmt.Errorf("typed API over %s: %w", b.protocols[number].Name, err)
	}
	fromSDK, err := b.run(sdkClient{b.sdk, control}, op)
	if err != nil {
		return outcome{}, fmt.Errorf("SDK: %w", err)
	}
	if err := compareOutcomes(typed, fromSDK); err != nil {
		return outcome{}, fmt.Errorf("typed API over %s and SDK: %w", b.protocols[number].Name, err)
	}
	return typed, nil
}

func (b *harness) run(api chatClient, op operation) (result outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	b.upstream.reset()
	result.responses, err = op(ctx, api)
	if err != nil {
		rejected, ok := err.(*failure) //nolint:errorlint // A wrapped failure is an unexpected error.
		if !ok {
			return result, err
		}
		result.failed = rejected
	}
	if result.received, err = b.upstream.take(); err != nil {
		return result, err
	}
	if result.failed != nil {
		if last := result.received[len(result.received)-1]; result.failed.id != last.id {
			return result, fmt.Errorf("got request ID %q in the error, want %q", result.failed.id, last.id)
		}
	}
	return result, nil
}

// compareOutcomes reports how two outcomes differ: in the requests received by the
// upstream, the responses or the failure.
func compareOutcomes(a, b outcome) error {
	for i := range min(len(a.received), len(b.received)) {
		if err := compareRequests(a.received[i], b.received[i]); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	for i := range min(len(a.responses), len(b.responses)) {
		if err := compareJSON(a.responses[i], b.responses[i]); err != nil {
			return fmt.Errorf("response %d: %w", i, err)
		}
	}
	switch {
	case a.isRejected() && b.isRejected():
		if err := compareFailures(a.failed, b.failed); err != nil {
			return fmt.Errorf("failures: %w", err)
		}
	case a.isRejected():
		return fmt.Errorf("only the first operation was rejected: %w", a.failed)
	case b.isRejected():
		return fmt.Errorf("only the second operation was rejected: %w", b.failed)
	}
	if len(a.received) != len(b.received) || len(a.responses) != len(b.responses) {
		return fmt.Errorf("the upstream received %d and %d requests, the clients received %d and %d responses", len(a.received), len(b.received), len(a.responses), len(b.responses))
	}
	return nil
}
