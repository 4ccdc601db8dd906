package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// Generated requests, with unary and streaming responses. The upstream receives the
// generated request from each client, each client decodes the same response, and the
// accumulated chunks of the SDK and of the Go client equal the unary response.
func TestDifferential_Requests(t *testing.T) {
	t.Parallel()
	var (
		b     = newHarness(t)
		from  = newRequests(t)
		run   = newCampaign(t, 100)
		count = make(map[string]int)
		calls = make(map[int]control) // by instance
	)
	run.run(
		func(i int, r jsontree.Random) jsontree.Value {
			v := from.next(r)
			calls[i] = randomControl(r)
			if calls[i]["x-sandbox-unknown"] != "" {
				v = withUnknown(r, v)
			}
			return v
		},
		from.isValid,
		func(i int, v jsontree.Value) error { return b.checkRequest(i, calls[i], v, count) },
	)
	t.Logf("seed %d: %d requests: %d in the SDK's params, %d raw; %d succeeded with %d chunks; %d streams accumulated; %d unary requests and %d streams rejected",
		run.seed, run.count, count["params"], count["raw"], count["succeeded"], count["chunks"], count["accumulated"], count["rejected"], count["rejected streams"])
	if run.isComplete && (count["params"] < run.count/2 || count["succeeded"] < run.count*4/5 || count["accumulated"] < run.count/2) {
		t.Error("too few requests of these kinds to be significant")
	}
}

// control holds request headers that control the embedded upstream.
type control map[string]string

func randomControl(r jsontree.Random) control {
	c := make(control)
	if r.Chance(0.3) {
		c["x-sandbox-unknown"] = "accept"
	}
	switch r.IntN(10) {
	case 0:
		c["x-sandbox-answer"] = "refusal"
	case 1:
		c["x-sandbox-answer"] = "content-filter"
	case 2:
		c["x-sandbox-tokens"] = "200"
	}
	return c
}

// checkRequest sends a request once for a unary and once for a streaming response.
func (b *harness) checkRequest(number int, c control, v jsontree.Value, count map[string]int) error {
	streamed := v.Append(nil, nil)
	v = without(v, "stream_options")
	whole := v.Append(nil, nil)
	if _, fields := sdkParams(whole); fields {
		count["params"]++
	} else {
		count["raw"]++
	}
	response, err := b.callBoth(number, c, func(ctx context.Context, api chatClient) ([][]byte, error) {
		return single(api.create(ctx, whole))
	})
	if err != nil {
		return fmt.Errorf("unary: %w", err)
	}
	if err := compareJSON(whole, []byte(response.received[0].Body)); err != nil {
		return fmt.Errorf("unary: the sent and the received request: %w", err)
	}
	stream, err := b.callBoth(number, c, func(ctx context.Context, api chatClient) ([][]byte, error) {
		return api.stream(ctx, streamed)
	})
	if err != nil {
		return fmt.Errorf("streaming: %w", err)
	}
	sent := with(mustParse(string(streamed)), "stream", mustParse("true")).Append(nil, nil)
	if err := compareJSON(sent, []byte(stream.received[0].Body)); err != nil {
		return fmt.Errorf("streaming: the sent and the received request: %w", err)
	}
	switch {
	case response.isRejected() && !stream.isRejected():
		return errors.New("only the streaming request succeeded")
	case response.isRejected():
		count["rejected"]++
		return nil
	case stream.isRejected():
		count["succeeded"]++
		count["rejected streams"]++ // A stream cannot have this audio format.
		return nil
	}
	count["succeeded"]++
	count["chunks"] += len(stream.responses)
	count["accumulated"]++
	return errors.Join(
		checkSDKAccumulator(stream.responses, response.responses[0]),
		checkClientAccumulator(stream.responses, response.responses[0]),
	)
}
