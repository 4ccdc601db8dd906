package sdk_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// TestDifferential_StoredCompletions is about the life of stored completions:
// some are made, and then there are random calls about them, of which the first
// that is refused ends the life.
func TestDifferential_StoredCompletions(t *testing.T) {
	t.Parallel()
	var (
		b     = newBench(t)
		from  = newRequests(t)
		run   = newCampaign(t, 40)
		lives = make(map[int][]step) // by instance
		count = make(map[string]int)
	)
	run.run(
		func(i int, r jsontree.Random) jsontree.Value {
			list := jsontree.Value{Kind: jsontree.Array}
			for range 1 + r.IntN(4) {
				list.Items = append(list.Items, stored(r, from.next(r)))
			}
			lives[i] = randomLife(r)
			return list
		},
		from.areAll,
		func(i int, list jsontree.Value) error {
			came, err := b.bothWays(i, nil, func(ctx context.Context, h hand) ([][]byte, error) {
				return live(ctx, h, list.Items, lives[i])
			})
			if err != nil {
				return err
			}
			for _, request := range came.seen {
				path, _, _ := target(request.Target)
				count[fmt.Sprintf("%s with %d slashes", request.Method, strings.Count(path, "/"))]++
			}
			if came.failed != nil {
				count[fmt.Sprint("status ", came.failed.status)]++
			}
			return nil
		},
	)
	t.Logf("seed %d: %d lives: %v", run.seed, run.count, count)
	for _, call := range []string{
		"POST with 3 slashes", "GET with 3 slashes", "POST with 4 slashes", "GET with 4 slashes", "DELETE with 4 slashes", "GET with 5 slashes",
		"status 400", "status 404",
	} {
		if run.isWhole && count[call] == 0 {
			t.Errorf("%s: there was none", call)
		}
	}
}

// stored returns a request for an answer that is stored, with metadata that
// lists can be filtered by.
func stored(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v = with(without(v, "stream_options"), "store", parsed("true"))
	metadata, _ := v.Find("metadata")
	if metadata.Kind != jsontree.Object {
		metadata = parsed(`{}`)
	}
	if len(metadata.Members) < 16 {
		metadata = with(metadata, "run", text(jsontree.Pick(r, runs()...)))
	}
	return with(v, "metadata", metadata)
}

// runs are the values of the metadata `run`.
func runs() []string { return []string{"a", `ä & "b"=?#%20+`} }

// step is a call about the completion of a number, of those that were made.
type step struct {
	call     string
	of       int
	metadata map[string]string
	page     page
	// after is the number of the item, of the list's last page, to go on after.
	after int
	// id is another id than the completion's.
	id string
}

func randomLife(r jsontree.Random) (steps []step) {
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
			s.page.metadata = map[string]string{"run": jsontree.Pick(r, runs()...)}
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
		s.metadata = map[string]string{"run": jsontree.Pick(r, runs()...)}
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

// live makes completions, and then the calls of a life. It returns all answers.
func live(ctx context.Context, h hand, requests []jsontree.Value, steps []step) (answers [][]byte, err error) {
	if len(requests) == 0 {
		return nil, nil
	}
	var ids []string
	for _, request := range requests {
		answer, err := h.create(ctx, request.Append(nil, nil))
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
		ids = append(ids, idOf(answer))
	}
	items := make(map[string][]string) // of the last page, by call
	for _, s := range steps {
		answer, err := s.take(ctx, h, ids[s.of%len(ids)], items[s.call])
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
		if s.call == "list" || s.call == "messages" {
			items[s.call] = idsOf(answer)
		}
	}
	return answers, nil
}

func (s step) take(ctx context.Context, h hand, id string, items []string) ([]byte, error) {
	if s.id != "" {
		id = s.id
	}
	if s.after >= 0 && s.after < len(items) {
		s.page.after = &items[s.after]
	}
	switch s.call {
	case "get":
		return h.get(ctx, id)
	case "update":
		return h.update(ctx, id, s.metadata)
	case "remove":
		return h.remove(ctx, id)
	case "list":
		return h.list(ctx, s.page)
	default:
		return h.listMessages(ctx, id, s.page)
	}
}

// idOf is the id of a completion.
func idOf(answer []byte) string {
	v, err := jsontree.Parse(answer)
	if err != nil {
		return err.Error() // No completion has it.
	}
	return textOf(v, "id")
}

// idsOf are the ids of a list's items.
func idsOf(answer []byte) (ids []string) {
	v, err := jsontree.Parse(answer)
	if err != nil {
		return nil
	}
	data, _ := v.Find("data")
	for _, item := range data.Items {
		ids = append(ids, textOf(item, "id"))
	}
	return ids
}
