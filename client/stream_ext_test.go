package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

func TestStream_EndsWithLoop(t *testing.T) {
	t.Parallel()
	for name, protocol := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan struct{})
			openai := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(gone)
			}, client.WithProtocol(protocol))
			for chunk, err := range openai.Chat.Stream(t.Context(), ask(client.User("Hello!"))) {
				if err != nil || chunk.Choices[0].Delta.GetContent() != "a" {
					t.Errorf("got %v, %v", chunk, err)
				}
				break
			}
			<-gone
		})
	}
}

func TestStream_EndsAfterError(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault  string
		code   connect.Code
		chunks int
	}{
		"an error of the upstream":  {"error", connect.CodeInternal, 3},
		"a connection that is lost": {"abort", connect.CodeUnavailable, 3},
		"an end without an answer":  {"end", connect.CodeUnavailable, 3},
	} {
		for protocolName, protocol := range protocols() {
			t.Run(name+"/"+protocolName, func(t *testing.T) {
				t.Parallel()
				openai := startSandbox(t, client.WithProtocol(protocol), client.WithMaxRetries(2),
					client.WithHeader("X-Sandbox-Fault", row.fault), client.WithHeader("X-Sandbox-After", "3"))
				chunks, failures := 0, 0
				for chunk, err := range openai.Chat.Stream(t.Context(), ask(client.User("Hello!"))) {
					switch {
					case err == nil && chunk != nil && failures == 0:
						chunks++
					case err != nil && chunk == nil && plain(t, err).ConnectCode == row.code:
						failures++
					default:
						t.Errorf("got %v, %v", chunk, err)
					}
				}
				if chunks != row.chunks || failures != 1 {
					t.Errorf("got %d chunks and %d errors", chunks, failures)
				}
			})
		}
	}
}

func TestStream_EachLoopIsACall(t *testing.T) {
	t.Parallel()
	stream := startSandbox(t).Chat.Stream(t.Context(), ask(client.User("Hello!")))
	var answers [2]client.Accumulator
	for i := range answers {
		for chunk, err := range stream {
			if err != nil {
				t.Fatal(err)
			}
			answers[i].Add(chunk)
		}
	}
	first, second := answers[0].Completion(), answers[1].Completion()
	if text := first.Choices[0].Message.GetContent(); text == "" || text != second.Choices[0].Message.GetContent() {
		t.Errorf("got %v and %v", first, second)
	}
}

func TestHeaders_OfOneCall(t *testing.T) {
	t.Parallel()
	var got http.Header
	openai := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "41")
		_, _ = io.WriteString(w, `{"choices":[]}`)
	}, client.WithAPIKey("sk-client"), client.WithHeader("X-Of-Client", "a"), client.WithHeader("X-Of-Client", "b"), client.WithHeader("X-Of-Both", "client"))
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set("X-Of-Both", "call")
	if _, err := openai.Chat.Create(ctx, ask(client.User("Hello!"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Authorization": "Bearer sk-client", "X-Of-Client": "a,b", "X-Of-Both": "call"} {
		if joined := strings.Join(got.Values(name), ","); joined != want {
			t.Errorf("got %s %q, want %q", name, joined, want)
		}
	}
	if left := info.ResponseHeader().Get("X-Ratelimit-Remaining-Requests"); left != "41" {
		t.Errorf("got response header %q", left)
	}
}

func TestList_ReturnsAllPages(t *testing.T) {
	t.Parallel()
	openai := startSandbox(t)
	request := ask(client.User("1"), client.Assistant("2"), client.User("3"), client.Assistant("4"), client.User("5"))
	request.Store = new(true)
	var ids []string
	for range 5 {
		completion, err := openai.Chat.Create(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, completion.Id)
	}
	for _, limit := range []int32{1, 2, 5, 100} {
		var listed []string
		for completion, err := range openai.Chat.List(t.Context(), &chatv1.ListChatCompletionsRequest{Limit: &limit}) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, completion.Id)
		}
		if strings.Join(listed, ",") != strings.Join(ids, ",") {
			t.Errorf("page size %d: got %v, want %v", limit, listed, ids)
		}
		var said strings.Builder
		for message, err := range openai.Chat.Messages(t.Context(), &chatv1.ListChatCompletionMessagesRequest{CompletionId: ids[0], Limit: &limit}) {
			if err != nil {
				t.Fatal(err)
			}
			said.WriteString(message.GetContent())
		}
		if said.String() != "12345" {
			t.Errorf("page size %d: got messages %q", limit, said.String())
		}
	}
	t.Run("starts at the request's position", func(t *testing.T) {
		request := &chatv1.ListChatCompletionsRequest{After: &ids[2], Limit: new(int32(1))}
		var listed []string
		for completion, err := range openai.Chat.List(t.Context(), request) {
			if err != nil {
				t.Fatal(err)
			}
			listed = append(listed, completion.Id)
		}
		if strings.Join(listed, ",") != strings.Join(ids[3:], ",") || request.GetAfter() != ids[2] {
			t.Errorf("got %v and request %v", listed, request)
		}
	})
	t.Run("until the loop is left", func(t *testing.T) {
		for completion, err := range openai.Chat.List(t.Context(), &chatv1.ListChatCompletionsRequest{Limit: new(int32(2))}) {
			if err != nil || completion.Id != ids[0] {
				t.Errorf("got %v, %v", completion, err)
			}
			break
		}
	})
}

func TestList_EndsAfterError(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		pages []string // bodies of the responses; the last one is repeated
		items int
		typed bool
	}{
		"of a page":                            {[]string{`{"data":[{"id":"a"}],"last_id":"a","has_more":true}`, `no JSON`}, 1, true},
		"when no page follows":                 {[]string{`{"data":[{"id":"a"}],"has_more":true}`}, 1, false},
		"when the page that follows is itself": {[]string{`{"data":[{"id":"a"}],"last_id":"a","has_more":true}`}, 2, false},
		"when a page comes again": {[]string{
			`{"data":[{"id":"a"}],"last_id":"a","has_more":true}`, `{"data":[{"id":"b"}],"last_id":"b","has_more":true}`, `{"data":[{"id":"a"}],"last_id":"a","has_more":true}`,
		}, 3, false},
		"when all pages are empty": {slices.Collect(func(yield func(string) bool) {
			for i := range 100 {
				_ = yield(fmt.Sprintf(`{"data":[],"last_id":"%d","has_more":true}`, i))
			}
		}), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := 0
			openai := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, row.pages[min(page, len(row.pages)-1)])
				page++
			})
			items, failures := 0, 0
			for _, err := range openai.Chat.List(t.Context(), &chatv1.ListChatCompletionsRequest{}) {
				if err == nil {
					items++
					continue
				}
				failures++
				if _, ok := errors.AsType[*client.Error](err); ok != row.typed {
					t.Errorf("got error %v", err)
				}
			}
			if items != row.items || failures != 1 {
				t.Errorf("got %d items and %d errors", items, failures)
			}
		})
	}
}

func TestStoredCompletion_CreateGetUpdateDelete(t *testing.T) {
	t.Parallel()
	openai := startSandbox(t)
	request := ask(client.User("Hello!"))
	request.Store, request.Metadata = new(true), map[string]string{"of": "me"}
	created, err := openai.Chat.Create(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := openai.Chat.Get(t.Context(), created.Id); err != nil || got.Metadata["of"] != "me" {
		t.Errorf("got %v, %v", got, err)
	}
	updated, err := openai.Chat.Update(t.Context(), &chatv1.UpdateChatCompletionRequest{
		CompletionId: created.Id, Metadata: map[string]string{"of": "you"},
	})
	if err != nil || updated.Metadata["of"] != "you" {
		t.Errorf("got %v, %v", updated, err)
	}
	if deleted, err := openai.Chat.Delete(t.Context(), created.Id); err != nil || !deleted.Deleted {
		t.Errorf("got %v, %v", deleted, err)
	}
	if _, err := openai.Chat.Get(t.Context(), created.Id); !client.IsNotFound(err) {
		t.Errorf("got error %v", err)
	}
}
