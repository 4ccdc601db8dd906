package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

const completions = "/v1/chat/completions"

// store creates a stored completion and returns its ID.
func store(t *testing.T, send func(body string) fullResponse, text string, fields ...string) string {
	t.Helper()
	r := send(userRequest(text, append(fields, `"store":true`)...))
	content(t, r)
	return lookup(t, decode(t, r.body), "id").(string)
}

func ids(t *testing.T, r fullResponse) []string {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var result []string
	for _, each := range lookup(t, decode(t, r.body), "data").([]any) {
		result = append(result, lookup(t, each, "id").(string))
	}
	return result
}

func TestStoredCompletions_AreListedInPages(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	create := func(body string) fullResponse { return create(t, server, body) }
	var made []string
	for i := range 25 {
		made = append(made, store(t, create, strconv.Itoa(i), fmt.Sprintf(`"metadata":{"even":"%v","n":"%d"}`, i%2 == 0, i)))
	}
	backward := slices.Clone(made)
	slices.Reverse(backward)
	for name, row := range map[string]struct {
		query string
		want  []string
		more  bool
	}{
		"the default is 20 in order of creation":  {"", made[:20], true},
		"a limit":                                 {"?limit=3", made[:3], true},
		"after a cursor":                          {"?after=" + made[19], made[20:], false},
		"after the last item":                     {"?after=" + made[24], nil, false},
		"descending order":                        {"?order=desc&limit=2", backward[:2], true},
		"descending order after a cursor":         {"?order=desc&limit=100&after=" + made[2], backward[23:], false},
		"a limit equal to the number of items":    {"?limit=25", made, false},
		"filter by model":                         {"?model=sandbox&limit=1", made[:1], true},
		"filter by an unknown model":              {"?model=gpt-5", nil, false},
		"filter by metadata":                      {"?metadata%5Bn%5D=7", made[7:8], false},
		"filter by two metadata values":           {"?metadata[even]=true&metadata[n]=8", made[8:9], false},
		"filter by contradicting metadata values": {"?metadata[even]=true&metadata[n]=7", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := send(t, server, http.MethodGet, completions+row.query, "")
			got := ids(t, r)
			if !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
			list := decode(t, r.body)
			first, last := "", ""
			if len(row.want) > 0 {
				first, last = row.want[0], row.want[len(row.want)-1]
			}
			if list["object"] != "list" || list["has_more"] != row.more || list["first_id"] != first || list["last_id"] != last {
				t.Errorf("the list is %.0s%v, %v, %v", list["object"], list["has_more"], list["first_id"], list["last_id"])
			}
		})
	}
}

func TestStoredCompletions_RejectInvalidQuery(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for query, param := range map[string]any{
		"?limit=0": "limit", "?limit=101": "limit", "?limit=many": "limit", "?order=up": "order",
		"?after=nobody": "after", "?colour=red": nil, "?metadata=x": nil, "?a=%zz": nil,
	} {
		r := send(t, server, http.MethodGet, completions+query, "")
		if r.status != http.StatusBadRequest || lookup(t, decode(t, r.body), "error", "param") != param {
			t.Errorf("%s: status %d: %s", query, r.status, r.body)
		}
	}
	r := send(t, server, http.MethodGet, completions+"?colour=red", "", "x-sandbox-unknown", "accept")
	if r.status != http.StatusOK {
		t.Errorf("an accepted unknown parameter: status %d", r.status)
	}
}

func TestStoredCompletions_AreReadUpdatedAndDeleted(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	created := create(t, server, userRequest("Hi", `"store":true,"metadata":{"b":"1","a":"2"}`))
	content(t, created)
	path := completions + "/" + lookup(t, decode(t, created.body), "id").(string)
	if got := send(t, server, http.MethodGet, path, ""); got.body != created.body {
		t.Errorf("got %s, created %s", got.body, created.body)
	}
	updated := send(t, server, http.MethodPost, path, `{"metadata":{"c":"3"}}`)
	want := strings.Replace(created.body, `"metadata":{"b":"1","a":"2"}`, `"metadata":{"c":"3"}`, 1)
	if updated.body != want {
		t.Errorf("updated %s, want %s", updated.body, want)
	}
	cleared := send(t, server, http.MethodPost, path, `{"metadata":null}`)
	if !strings.Contains(cleared.body, `"metadata":{}`) {
		t.Errorf("cleared %s", cleared.body)
	}
	for body, param := range map[string]string{`{}`: "metadata", `{"metadata":{"a":1}}`: "metadata.a", `{"metadata":5}`: "metadata"} {
		if r := send(t, server, http.MethodPost, path, body); lookup(t, decode(t, r.body), "error", "param") != param {
			t.Errorf("%s: %s", body, r.body)
		}
	}
	deleted := send(t, server, http.MethodDelete, path, "")
	if want := fmt.Sprintf(`{"object":"chat.completion.deleted","id":%q,"deleted":true}`+"\n", path[len(completions)+1:]); deleted.body != want {
		t.Errorf("deleted %s, want %s", deleted.body, want)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		r := send(t, server, method, path, "")
		if r.status != http.StatusNotFound || lookup(t, decode(t, r.body), "error", "code") != "not_found" {
			t.Errorf("%s after the deletion: status %d: %s", method, r.status, r.body)
		}
	}
	if r := send(t, server, http.MethodPost, path, `{"metadata":{}}`); r.status != http.StatusNotFound {
		t.Errorf("an update after the deletion: status %d", r.status)
	}
}

func TestStoredCompletions_ContainOnlyRequestsWithStore(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	create(t, server, userRequest("Hi"))
	create(t, server, userRequest("Hi", `"store":false`))
	create(t, server, userRequest("Hi", `"store":null,"stream":true`))
	create(t, server, userRequest("Hi", `"store":true`), "x-sandbox-status", "500")
	streamed := events(t, create(t, server, userRequest("Hi", `"store":true,"stream":true`)).body)
	want := []string{lookup(t, decode(t, streamed[0]), "id").(string)}
	if got := ids(t, send(t, server, http.MethodGet, completions, "")); !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

func TestStoredCompletions_HaveUniqueIDs(t *testing.T) {
	t.Parallel()
	all := func() []string {
		server := startSandbox(t)
		create := func(body string) fullResponse { return create(t, server, body) }
		made := []string{store(t, create, "Hi"), store(t, create, "Hi"), store(t, create, "Ho")}
		send(t, server, http.MethodDelete, completions+"/"+made[0], "")
		return append(made, store(t, create, "Hi"))
	}
	first, second := all(), all()
	if !slices.Equal(first, second) {
		t.Errorf("got %q and then %q", first, second)
	}
	if slices.Sort(first); len(slices.Compact(first)) != 4 {
		t.Errorf("got duplicate IDs: %q", first)
	}
}

func TestStoredCompletions_ListMessages(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, `{"model":"m","store":true,"messages":[
		{"role":"system","content":"Be kind."},
		{"role":"user","name":"ada","content":[{"type":"text","text":"Look"},{"type":"file","file":{"file_id":"f"}},
			{"type":"image_url","image_url":{"url":"data:,"}}]},
		{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"c","content":"done"}]}`)
	content(t, r)
	id := lookup(t, decode(t, r.body), "id").(string)
	path := completions + "/" + id + "/messages"
	list := send(t, server, http.MethodGet, path, "")
	want := fmt.Sprintf(`{"object":"list","data":[`+
		`{"id":"%[1]s-0","role":"system","content":"Be kind.","refusal":null,"content_parts":null},`+
		`{"id":"%[1]s-1","role":"user","name":"ada","content":null,"refusal":null,"content_parts":[{"type":"text","text":"Look"},`+
		`{"type":"image_url","image_url":{"url":"data:,"}}]},`+
		`{"id":"%[1]s-2","role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],`+
		`"content":null,"refusal":null,"content_parts":null},`+
		`{"id":"%[1]s-3","role":"tool","tool_call_id":"c","content":"done","refusal":null,"content_parts":null}],`+
		`"first_id":"%[1]s-0","last_id":"%[1]s-3","has_more":false}`+"\n", id)
	if list.body != want {
		t.Errorf("got\n%s\nwant\n%s", list.body, want)
	}
	page := send(t, server, http.MethodGet, path+"?limit=1&order=desc&after="+id+"-3", "")
	if got := ids(t, page); !slices.Equal(got, []string{id + "-2"}) {
		t.Errorf("the page has %q", got)
	}
	if r := send(t, server, http.MethodGet, path+"?model=sandbox", ""); r.status != http.StatusBadRequest {
		t.Errorf("an unsupported filter for messages: status %d", r.status)
	}
}

func TestStoredCompletions_DropOldest(t *testing.T) {
	t.Parallel()
	handler := sandbox.New()
	call := func(method, path, body string) fullResponse {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return fullResponse{status: recorder.Code, body: recorder.Body.String()}
	}
	create := func(body string) fullResponse { return call(http.MethodPost, completions, body) }
	first := store(t, create, "first")
	second := store(t, create, "second")
	for range 999 {
		store(t, create, "more")
	}
	if r := call(http.MethodGet, completions+"/"+first, ""); r.status != http.StatusNotFound {
		t.Errorf("the first of 1001: status %d", r.status)
	}
	if r := call(http.MethodGet, completions+"/"+second, ""); r.status != http.StatusOK {
		t.Errorf("the second of 1001: status %d", r.status)
	}
}

func TestStoredCompletions_AreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	create := func(body string) fullResponse { return create(t, server, body) }
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				id := store(t, create, "the same", `"metadata":{"side":"x"}`)
				mu.Lock()
				if seen[id] {
					t.Errorf("duplicate ID %s", id)
				}
				seen[id] = true
				mu.Unlock()
				path := completions + "/" + id
				send(t, server, http.MethodPost, path, fmt.Sprintf(`{"metadata":{"side":"%d"}}`, i))
				if r := send(t, server, http.MethodGet, path, ""); !strings.Contains(r.body, fmt.Sprintf(`{"side":"%d"}`, i)) {
					t.Errorf("completion %s is %s", id, r.body)
				}
				if r := send(t, server, http.MethodGet, completions, ""); !json.Valid([]byte(r.body)) {
					t.Errorf("the list is %s", r.body)
				}
				if i%2 == 0 {
					send(t, server, http.MethodDelete, path, "")
				}
			}
		})
	}
	group.Wait()
	if got := ids(t, send(t, server, http.MethodGet, completions+"?limit=100", "")); len(got) != 80 {
		t.Errorf("%d completions are stored, want 80", len(got))
	}
}
