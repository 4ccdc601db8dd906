package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// TestDifferential_Errors is about requests that the upstream refuses, or
// fails at: status, error object, request id and delay are the same, and so is
// what the upstream saw, whether an answer was asked for whole or as a stream.
func TestDifferential_Errors(t *testing.T) {
	t.Parallel()
	var (
		b      = newBench(t)
		from   = newRequests(t)
		run    = newCampaign(t, 100)
		calls  = make(map[int]control) // by instance
		counts = make(map[string]int)
	)
	run.run(
		func(i int, r jsontree.Random) jsontree.Value {
			v := without(from.next(r), "stream_options")
			switch r.IntN(3) {
			case 0:
				calls[i] = control{"x-sandbox-status": jsontree.Pick(r, "401", "403", "404", "409", "413", "422", "429", "503", "529", strconv.Itoa(400+r.IntN(200)))}
			case 1:
				calls[i] = control{
					"x-sandbox-fault":  "error",
					"x-sandbox-after":  strconv.Itoa(r.IntN(4)),
					"x-sandbox-status": jsontree.Pick(r, "400", "429", "500", "529"),
				}
			default:
				v = spoilt(r, v)
			}
			return v
		},
		func(jsontree.Value) bool { return false }, // Two mistakes are reported in any order: it can't be made smaller.
		func(i int, v jsontree.Value) error { return b.checkError(i, calls[i], v, counts) },
	)
	t.Logf("seed %d: %d requests: %v", run.seed, run.count, counts)
	for _, kind := range []string{"refused", "refused stream", "broken stream", "status 400", "status 429"} {
		if run.isWhole && counts[kind] == 0 {
			t.Errorf("%s: there was none", kind)
		}
	}
}

func (b *bench) checkError(number int, c control, v jsontree.Value, counts map[string]int) error {
	body := v.Append(nil, nil)
	if c["x-sandbox-fault"] == "" { // Of a whole answer with status 200 the SDK doesn't see that it is an error.
		came, err := b.bothWays(number, c, func(ctx context.Context, h hand) ([][]byte, error) {
			return one(h.create(ctx, body))
		})
		if itself, is := errors.AsType[*refusal](err); is {
			counts["refused by the typed API"]++
			return b.checkRefusal(itself, body)
		} else if err != nil {
			return err
		}
		if came.failed != nil {
			counts["refused"]++
			counts["status "+strconv.Itoa(came.failed.status)]++
		}
	}
	came, err := b.bothWays(number, c, func(ctx context.Context, h hand) ([][]byte, error) { return h.stream(ctx, body) })
	switch {
	case err != nil:
		return err
	case came.failed != nil && len(came.answers) > 0:
		counts["broken stream"]++
	case came.failed != nil:
		counts["refused stream"]++
	}
	return nil
}

// checkRefusal checks that what the typed API refuses by itself, the upstream
// refuses too.
func (b *bench) checkRefusal(itself *refusal, body []byte) error {
	if _, err := b.upstream.take(); err != nil {
		return err
	}
	came, err := b.do(sdkHand{client: b.sdk}, func(ctx context.Context, h hand) ([][]byte, error) {
		return one(h.create(ctx, body))
	})
	if err == nil && (came.failed == nil || came.failed.status != http.StatusBadRequest) {
		return fmt.Errorf("only the typed API refuses it: %w", itself)
	}
	return err
}

// spoilt returns a request of which one value is another, but null, or which has
// a member more.
// Its model and its messages are some, as the typed API refuses by itself what
// has none.
func spoilt(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v.Members = slices.Clone(v.Members)
	if r.Chance(0.1) {
		return with(v, "tomorrow", r.Value(2))
	}
	for {
		i := r.IntN(len(v.Members))
		switch name := jsontree.Unquote(v.Members[i].Name); {
		case name == "messages":
			v.Members[i].Value = spoiltInside(r, v.Members[i].Value)
			return v
		case name != "model":
			v.Members[i].Value = spoiltAt(r, v.Members[i].Value)
			return v
		}
	}
}

// spoiltAt spoils a value or what is inside. No object becomes another, as the
// typed API always writes the members that one requires.
func spoiltAt(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if r.Chance(0.5) && len(v.Items)+len(v.Members) > 0 {
		return spoiltInside(r, v)
	}
	others := []string{"1000000", "-3.5", `""`, `"auto"`, "true", "[0]"}
	if v.Kind != jsontree.Object {
		others = append(others, `{"a":1}`)
	}
	return parsed(jsontree.Pick(r, others...))
}

func spoiltInside(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if len(v.Items) > 0 {
		v.Items = slices.Clone(v.Items)
		i := r.IntN(len(v.Items))
		v.Items[i] = spoiltAt(r, v.Items[i])
	}
	if len(v.Members) > 0 {
		v.Members = slices.Clone(v.Members)
		i := r.IntN(len(v.Members))
		v.Members[i].Value = spoiltAt(r, v.Members[i].Value)
	}
	return v
}
