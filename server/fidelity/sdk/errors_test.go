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

// Requests that the upstream rejects or fails to complete have the same HTTP status,
// error object, request ID and delay through both APIs, and reach the upstream in the
// same form.
func TestDifferential_Errors(t *testing.T) {
	t.Parallel()
	var (
		b      = newHarness(t)
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
				v = mutate(r, v)
			}
			return v
		},
		func(jsontree.Value) bool { return false }, // Shrinking could change which of several errors is reported.
		func(i int, v jsontree.Value) error { return b.checkError(i, calls[i], v, counts) },
	)
	t.Logf("seed %d: %d requests: %v", run.seed, run.count, counts)
	for _, kind := range []string{"rejected", "rejected stream", "broken stream", "status 400", "status 429"} {
		if run.isComplete && counts[kind] == 0 {
			t.Errorf("got no %s, want at least one", kind)
		}
	}
}

func (b *harness) checkError(number int, c control, v jsontree.Value, counts map[string]int) error {
	body := v.Append(nil, nil)
	if c["x-sandbox-fault"] == "" { // The SDK does not recognize an error in a unary response with status 200.
		result, err := b.callBoth(number, c, func(ctx context.Context, api chatClient) ([][]byte, error) {
			return single(api.create(ctx, body))
		})
		if rejected, ok := errors.AsType[*rejection](err); ok {
			counts["rejected by the typed API"]++
			return b.checkRejection(rejected, body)
		} else if err != nil {
			return err
		}
		if result.failed != nil {
			counts["rejected"]++
			counts["status "+strconv.Itoa(result.failed.status)]++
		}
	}
	result, err := b.callBoth(number, c, func(ctx context.Context, api chatClient) ([][]byte, error) { return api.stream(ctx, body) })
	switch {
	case err != nil:
		return err
	case result.failed != nil && len(result.responses) > 0:
		counts["broken stream"]++
	case result.failed != nil:
		counts["rejected stream"]++
	}
	return nil
}

// checkRejection checks that the upstream also rejects a request that the typed API
// rejects without forwarding it.
func (b *harness) checkRejection(rejected *rejection, body []byte) error {
	if _, err := b.upstream.take(); err != nil {
		return err
	}
	result, err := b.run(sdkClient{client: b.sdk}, func(ctx context.Context, api chatClient) ([][]byte, error) {
		return single(api.create(ctx, body))
	})
	if err == nil && (result.failed == nil || result.failed.status != http.StatusBadRequest) {
		return fmt.Errorf("only the typed API rejects the request: %w", rejected)
	}
	return err
}

// mutate returns a request with one value replaced, but not with null, or with one
// additional member. It keeps the model and a message, because the typed API rejects
// requests without them.
func mutate(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v.Members = slices.Clone(v.Members)
	if r.Chance(0.1) {
		return with(v, "tomorrow", r.Value(2))
	}
	for {
		i := r.IntN(len(v.Members))
		switch name := jsontree.Unquote(v.Members[i].Name); {
		case name == "messages":
			v.Members[i].Value = mutateInside(r, v.Members[i].Value)
			return v
		case name != "model":
			v.Members[i].Value = mutateValue(r, v.Members[i].Value)
			return v
		}
	}
}

// mutateValue replaces a value or a nested one. It never replaces an object with
// another object, because the typed API always writes an object's required members.
func mutateValue(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if r.Chance(0.5) && len(v.Items)+len(v.Members) > 0 {
		return mutateInside(r, v)
	}
	others := []string{"1000000", "-3.5", `""`, `"auto"`, "true", "[0]"}
	if v.Kind != jsontree.Object {
		others = append(others, `{"a":1}`)
	}
	return mustParse(jsontree.Pick(r, others...))
}

func mutateInside(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if len(v.Items) > 0 {
		v.Items = slices.Clone(v.Items)
		i := r.IntN(len(v.Items))
		v.Items[i] = mutateValue(r, v.Items[i])
	}
	if len(v.Members) > 0 {
		v.Members = slices.Clone(v.Members)
		i := r.IntN(len(v.Members))
		v.Members[i].Value = mutateValue(r, v.Members[i].Value)
	}
	return v
}
