package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The limits of the store. The oldest completions are dropped to stay within them.
const (
	maxStored      = 1000
	maxStoredBytes = 256 << 20 // of completions and messages, as JSON
)

// A store holds the completions of requests with "store": true, in order of creation. The
// zero value is empty.
type store struct {
	mu      sync.Mutex
	entries []entry
	bytes   int
	// ordinals numbers the completions of equivalent requests. A hash is removed with its
	// last stored completion.
	ordinals map[requestHash]ordinal
}

type ordinal struct{ next, stored int }

type entry struct {
	requestHash requestHash
	completion  completion
	messages    []*object
	size        int
}

// add stores a response. It changes the ID of a response to an equivalent request, so that
// IDs are unique.
func (s *store) add(resp *response) {
	messages := storedMessages(resp.request)
	size := len(encode(messages)) + len(encode(resp.completion()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ordinals == nil {
		s.ordinals = map[requestHash]ordinal{}
	}
	number := s.ordinals[resp.requestHash]
	resp.id = resp.requestHash.id("chatcmpl-", number.next)
	s.ordinals[resp.requestHash] = ordinal{next: number.next + 1, stored: number.stored + 1}
	stored := resp.completion()
	if stored.Metadata == nil {
		stored.Metadata = newObject()
	}
	for i, each := range messages {
		each.set("id", fmt.Sprintf("%s-%d", resp.id, i))
	}
	s.entries = append(s.entries, entry{requestHash: resp.requestHash, completion: stored, messages: messages, size: size})
	s.bytes += size
	for len(s.entries) > maxStored || s.bytes > maxStoredBytes && len(s.entries) > 1 {
		s.remove(0)
	}
}

func (s *store) remove(index int) {
	gone := s.entries[index]
	s.entries = slices.Delete(s.entries, index, index+1)
	s.bytes -= gone.size
	number := s.ordinals[gone.requestHash]
	if number.stored--; number.stored == 0 {
		delete(s.ordinals, gone.requestHash)
	} else {
		s.ordinals[gone.requestHash] = number
	}
}

// with runs a function with the index of a completion, and with the store locked.
func (s *store) with(id string, run func(index int)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	index := slices.IndexFunc(s.entries, func(e entry) bool { return e.completion.ID == id })
	if index < 0 {
		return &apiError{
			status:  http.StatusNotFound,
			message: "No chat completion is stored with the ID '" + truncate(id, maxQuotedValue) + "'.",
			kind:    typeInvalidRequest,
			param:   "completion_id",
			code:    "not_found",
		}
	}
	run(index)
	return nil
}

func (s *store) all() []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

func (s *sandbox) getCompletion(x *exchange) error {
	var found completion
	err := s.stored.with(x.id, func(index int) { found = s.stored.entries[index].completion })
	if err != nil {
		return err
	}
	x.respond(found)
	return nil
}

func (s *sandbox) updateCompletion(x *exchange) error {
	if err := x.checkContentType(); err != nil {
		return err
	}
	tree, err := parseObjectBody(s.update.validate, x.body, x.strictness())
	if err != nil {
		return err
	}
	metadata := tree.object("metadata")
	if metadata == nil {
		metadata = newObject()
	}
	var updated completion
	err = s.stored.with(x.id, func(index int) {
		s.stored.entries[index].completion.Metadata = metadata
		updated = s.stored.entries[index].completion
	})
	if err != nil {
		return err
	}
	x.respond(addFields(updated, unknownFields(tree, s.update)))
	return nil
}

type deletedReply struct {
	Object  string `json:"object"`
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

func (s *sandbox) deleteCompletion(x *exchange) error {
	if err := s.stored.with(x.id, s.stored.remove); err != nil {
		return err
	}
	x.respond(deletedReply{Object: "chat.completion.deleted", ID: x.id, Deleted: true})
	return nil
}

func (s *sandbox) listCompletions(x *exchange) error {
	query, err := readQuery(x, "model", "metadata")
	if err != nil {
		return err
	}
	var matching []completion
	for _, each := range s.stored.all() {
		if query.matches(each.completion) {
			matching = append(matching, each.completion)
		}
	}
	return writePage(x, query, matching, func(c completion) string { return c.ID })
}

func (s *sandbox) listMessages(x *exchange) error {
	query, err := readQuery(x)
	if err != nil {
		return err
	}
	var messages []*object
	err = s.stored.with(x.id, func(index int) { messages = s.stored.entries[index].messages })
	if err != nil {
		return err
	}
	return writePage(x, query, messages, func(m *object) string { return m.str("id") })
}

// storedMessages returns the messages of a request as OpenAI lists them. If the content
// is an array, content is null, and content_parts has its text and image parts.
func storedMessages(r *request) []*object {
	var result []*object
	for _, each := range r.messages {
		listed := newObject()
		listed.set("id", nil)
		for _, name := range each.tree.names {
			listed.set(name, each.tree.get(name))
		}
		var parts any
		if content, ok := each.tree.get("content").([]any); ok {
			kept := []any{}
			for _, part := range content {
				obj, _ := part.(*object)
				if kind := obj.str("type"); kind == "text" || kind == "image_url" {
					kept = append(kept, part)
				}
			}
			parts = kept
			listed.set("content", nil)
		}
		listed.set("content", listed.get("content"))
		listed.set("refusal", listed.get("refusal"))
		listed.set("content_parts", parts)
		result = append(result, listed)
	}
	return result
}

// The number of items on a page.
const (
	defaultPage = 20
	maxPage     = 100
)

// A query selects the items of a list.
type query struct {
	after    string
	limit    int
	backward bool
	model    string
	metadata map[string]string
}

// readQuery parses the paging parameters and the named filters.
func readQuery(x *exchange, filters ...string) (query, error) {
	result := query{limit: defaultPage, metadata: map[string]string{}}
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return result, invalid("", "", "Invalid query: %v.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key, isKey := metadataKey(name)
		value := values.Get(name)
		switch {
		case name == "after":
			result.after = value
		case name == "limit":
			limit, err := strconv.Atoi(value)
			if err != nil || limit < 1 || limit > maxPage {
				return result, invalid("limit", "invalid_value", "Invalid 'limit': expected an integer from 1 to %d.", maxPage)
			}
			result.limit = limit
		case name == "order":
			if value != "asc" && value != "desc" {
				return result, invalid("order", "invalid_value", "Invalid 'order': expected asc or desc.")
			}
			result.backward = value == "desc"
		case name == "model" && slices.Contains(filters, name):
			result.model = value
		case isKey && slices.Contains(filters, "metadata"):
			result.metadata[key] = value
		case !x.controls.unknown:
			return result, unknownFieldError("", name)
		}
	}
	return result, nil
}

// metadataKey returns the key in a parameter name such as metadata[key].
func metadataKey(name string) (string, bool) {
	inner, ok := strings.CutPrefix(name, "metadata[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, "]")
}

func (q query) matches(c completion) bool {
	if q.model != "" && q.model != c.Model {
		return false
	}
	for key, value := range q.metadata {
		if !c.Metadata.has(key) || c.Metadata.str(key) != value {
			return false
		}
	}
	return true
}

type page[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	FirstID string `json:"first_id"`
	LastID  string `json:"last_id"`
	HasMore bool   `json:"has_more"`
}

// writePage sends a page of items in the query's order, starting after the cursor.
func writePage[T any](x *exchange, q query, items []T, id func(T) string) error {
	items = slices.Clone(items)
	if q.backward {
		slices.Reverse(items)
	}
	if q.after != "" {
		at := slices.IndexFunc(items, func(item T) bool { return id(item) == q.after })
		if at < 0 {
			return invalid("after", "invalid_value", "Invalid 'after': the list has no item with the ID '%s'.", truncate(q.after, maxQuotedValue))
		}
		items = items[at+1:]
	}
	result := page[T]{Object: "list", Data: []T{}, HasMore: len(items) > q.limit}
	result.Data = append(result.Data, items[:min(q.limit, len(items))]...)
	if count := len(result.Data); count > 0 {
		result.FirstID, result.LastID = id(result.Data[0]), id(result.Data[count-1])
	}
	x.respond(result)
	return nil
}
