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
		b     = newBench(t)
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
		from.isOne,
		func(i int, v jsontree.Value) error { return b.checkRequest(i, calls[i], v, count) },
	)
	t.Logf("seed %d: %d requests: %d in the SDK's params, %d raw; %d answered with %d chunks, of which %d streams were put together; %d answers and %d streams refused",
		run.seed, run.count, count["params"], count["raw"], count["answered"], count["chunks"], count["accumulated"], count["refused"], count["refused streams"])
	if run.isWhole && (count["params"] < run.count/2 || count["answered"] < run.count*4/5 || count["accumulated"] < run.count/2) {
		t.Error("that is too few to say anything")
	}
}

// control is request headers that control the embedded upstream.
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

// checkRequest sends a request for a whole answer and for a stream.
func (b *bench) checkRequest(number int, c control, v jsontree.Value, count map[string]int) error {
	streamed := v.Append(nil, nil)
	v = without(v, "stream_options")
	whole := v.Append(nil, nil)
	if _, fields := sdkParams(whole); fields {
		count["params"]++
	} else {
		count["raw"]++
	}
	answer, err := b.bothWays(number, c, func(ctx context.Context, h hand) ([][]byte, error) {
		return one(h.create(ctx, whole))
	})
	if err != nil {
		return fmt.Errorf("unary: %w", err)
	}
	if err := equal(whole, []byte(answer.seen[0].Body)); err != nil {
		return fmt.Errorf("unary: what was sent and what was seen: %w", err)
	}
	stream, err := b.bothWays(number, c, func(ctx context.Context, h hand) ([][]byte, error) {
		return h.stream(ctx, streamed)
	})
	if err != nil {
		return fmt.Errorf("streaming: %w", err)
	}
	sent := with(parsed(string(streamed)), "stream", parsed("true")).Append(nil, nil)
	if err := equal(sent, []byte(stream.seen[0].Body)); err != nil {
		return fmt.Errorf("streaming: what was sent and what was seen: %w", err)
	}
	switch {
	case answer.isRefused() && !stream.isRefused():
		return errors.New("only the stream was answered")
	case answer.isRefused():
		count["refused"]++
		return nil
	case stream.isRefused():
		count["answered"]++
		count["refused streams"]++ // Its audio can't be.
		return nil
	}
	count["answered"]++
	count["chunks"] += len(stream.answers)
	count["accumulated"]++
	return errors.Join(
		accumulates(stream.answers, answer.answers[0]),
		clientAccumulates(stream.answers, answer.answers[0]),
	)
}
