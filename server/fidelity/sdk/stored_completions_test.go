package sdk_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// A random sequence of calls about stored completions has the same outcome through both
// APIs. A sequence ends at the first rejected call.
func TestDifferential_StoredCompletions(t *testing.T) {
	t.Parallel()
	var (
		b         = newHarness(t)
		from      = newRequests(t)
		run       = newCampaign(t, 40)
		sequences = make(map[int][]step) // by instance
		count     = make(map[string]int)
	)
	run.run(
		func(i int, r jsontree.Random) jsontree.Value {
			list := jsontree.Value{Kind: jsontree.Array}
			for range 1 + r.IntN(4) {
				list.Items = append(list.Items, storedRequest(r, from.next(r)))
			}
			sequences[i] = randomSteps(r)
			return list
		},
		from.areValid,
		func(i int, list jsontree.Value) error {
			result, err := b.callBoth(i, nil, func(ctx context.Context, api chatClient) ([][]byte, error) {
				return runSteps(ctx, api, list.Items, sequences[i])
			})
			if err != nil {
				return err
			}
			for _, request := range result.received {
				path, _, _ := target(request.Target)
				count[fmt.Sprintf("%s with %d slashes", request.Method, strings.Count(path, "/"))]++
			}
			if result.failed != nil {
				count[fmt.Sprint("status ", result.failed.status)]++
			}
			return nil
		},
	)
	t.Logf("seed %d: %d sequences: %v", run.seed, run.count, count)
	for _, call := range []string{
		"POST with 3 slashes", "GET with 3 slashes", "POST with 4 slashes", "GET with 4 slashes", "DELETE with 4 slashes", "GET with 5 slashes",
		"status 400", "status 404",
	} {
		if run.isComplete && count[call] == 0 {
			t.Errorf("got no %s, want at least one", call)
		}
	}
}

// storedRequest returns a request to create a stored completion, with metadata that
// list requests can filter on.
func storedRequest(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v = with(without(v, "stream_options"), "store", mustParse("true"))
	metadata, _ := v.Find("metadata")
	if metadata.Kind != jsontree.Object {
		metadata = mustParse(`{}`)
	}
	if len(metadata.Members) < 16 {
		metadata = with(metadata, "run", stringValue(jsontree.Pick(r, runValues()...)))
	}
	return with(v, "metadata", metadata)
}

// runValues returns the values of the metadata key "run".
func runValues() []string { return []string{"a", `ä & "b"=?#%20+`} }

// step is a call about one of the created completions.
type step struct {
	call     string
	of       int
	metadata map[string]string
	page     page
	// after is the index of the item of the previous page to continue after, or -1.
	after int
	// id replaces the completion's ID unless empty.
	id string
}

func randomSteps(r jsontree.Random) (steps []step) {
	for range 3 + r.IntN(10) {
		s := step{
			call: jsontree.Pick(r, "get", "update", "remove", "list", "list", "messages", "messages"),
			of:   r.IntN(4), after: -1,
			page: page{order: jsontree.Pick(r, "", "asc", "desc")},
		}
		if r.Chance(0.5) {
			s.page.limit = new(jsontree.Pick(r, 1, 1, 2, 100))
		}
		if r.Chance(0.3) {
			s.page.metadata = map[string]string{"run": jsontree.Pick(r, runValues()...)}
		}
		if r.Chance(0.3) {
			s.page.model = new(jsontree.Pick(r, "sandbox", "sandbox", "another & more"))
		}
		if r.Chance(0.3) {
			s.after = r.IntN(2)
		}
		switch r.IntN(100) {
		case 0, 1:
			s.id = jsontree.Pick(r, "chatcmpl-0", "a b", "ä/ö", "%2e", "a?b=c#d", "+")
		case 2:
			s.page.limit = new(jsontree.Pick(r, 0, -1, 101))
		case 3:
			s.page.after = new(r.Text())
		}
		s.metadata = map[string]string{"run": jsontree.Pick(r, runValues()...)}
		if r.Chance(0.3) {
			s.metadata = map[string]string{}
		}
		for range r.IntN(3) {
			if key, value := r.Text(), r.Text(); len(key) < 64 && len(value) < 512 {
				s.metadata[key] = value
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// runSteps creates completions, runs the steps and returns all responses.
func runSteps(ctx context.Context, api chatClient, requests []jsontree.Value, steps []step) (responses [][]byte, err error) {
	if len(requests) == 0 {
		return nil, nil
	}
	var ids []string
	for _, request := range requests {
		response, err := api.create(ctx, request.Append(nil, nil))
		if err != nil {
			return responses, err
		}
		responses = append(responses, response)
		ids = append(ids, idOf(response))
	}
	items := make(map[string][]string) // IDs on the previous page, by call
	for _, s := range steps {
		response, err := s.take(ctx, api, ids[s.of%len(ids)], items[s.call])
		if err != nil {
			return responses, err
		}
		responses = append(responses, response)
		if s.call == "list" || s.call == "messages" {
			items[s.call] = idsOf(response)
		}
	}
	return responses, nil
}

func (s step) take(ctx context.Context, api chatClient, id string, items []string) ([]byte, error) {
	if s.id != "" {
		id = s.id
	}
	if s.after >= 0 && s.after < len(items) {
		s.page.after = &items[s.after]
	}
	switch s.call {
	case "get":
		return api.get(ctx, id)
	case "update":
		return api.update(ctx, id, s.metadata)
	case "remove":
		return api.remove(ctx, id)
	case "list":
		return api.list(ctx, s.page)
	default:
		return api.listMessages(ctx, id, s.page)
	}
}

// idOf returns the ID of a completion.
func idOf(response []byte) string {
	v, err := jsontree.Parse(response)
	if err != nil {
		return err.Error() // never a completion's ID
	}
	return stringField(v, "id")
}

// idsOf returns the IDs of a list's items.
func idsOf(response []byte) (ids []string) {
	v, err := jsontree.Parse(response)
	if err != nil {
		return nil
	}
	data, _ := v.Find("data")
	for _, item := range data.Items {
		ids = append(ids, stringField(item, "id"))
	}
	return ids
}
