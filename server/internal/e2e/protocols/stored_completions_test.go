package protocols_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// storedCalls makes calls about stored completions.
type storedCalls struct {
	t      *testing.T
	ctx    context.Context
	client e2etest.Client
}

// must makes a call and fails the test on an error.
func must[T proto.Message](c storedCalls, method string, request proto.Message, response T) T {
	c.t.Helper()
	if _, err := c.client.Unary(c.ctx, e2etest.Call{Method: method, Request: request}, response); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return response
}

func (c storedCalls) list(request *chatv1.ListChatCompletionsRequest) *chatv1.ChatCompletionList {
	c.t.Helper()
	return must(c, "ListChatCompletions", request, new(chatv1.ChatCompletionList))
}

func (c storedCalls) get(id string) *chatv1.ChatCompletion {
	c.t.Helper()
	return must(c, "GetChatCompletion", &chatv1.GetChatCompletionRequest{CompletionId: id}, new(chatv1.ChatCompletion))
}

// same checks a message.
func (c storedCalls) same(what string, got, want proto.Message) {
	c.t.Helper()
	if !proto.Equal(got, want) {
		c.t.Errorf("got %s\n%v\nwant\n%v", what, got, want)
	}
}

func TestStored_CreateReadUpdateDelete(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			c := storedCalls{t, e2etest.Context(t), client}
			run := map[string]string{"run": client.Name + ` & "ä"`}

			var created []*chatv1.ChatCompletion
			for i := range 3 {
				created = append(created, must(c, "CreateChatCompletion", &chatv1.CreateChatCompletionRequest{
					Model: "sandbox",
					Messages: []*chatv1.Message{
						{Role: chatv1.Role_ROLE_SYSTEM, Content: new("Be brief.")},
						{Role: chatv1.Role_ROLE_USER, ContentParts: []*chatv1.ContentPart{
							{Part: &chatv1.ContentPart_Text{Text: fmt.Sprintf("Hello by %s, %d", client.Name, i)}},
						}},
					},
					Store:    new(true),
					Metadata: run,
				}, new(chatv1.ChatCompletion)))
			}

			page := c.list(&chatv1.ListChatCompletionsRequest{Metadata: run, Limit: new(int32(2))})
			c.same("the first page", page, &chatv1.ChatCompletionList{
				Data: created[:2], FirstId: created[0].GetId(), LastId: created[1].GetId(), HasMore: true,
			})
			page = c.list(&chatv1.ListChatCompletionsRequest{Metadata: run, Limit: new(int32(2)), After: new(page.GetLastId())})
			c.same("the last page", page, &chatv1.ChatCompletionList{
				Data: created[2:], FirstId: created[2].GetId(), LastId: created[2].GetId(),
			})
			page = c.list(&chatv1.ListChatCompletionsRequest{
				Model: new("sandbox"), Metadata: run, Limit: new(int32(1)), Order: sharedv1.ListOrder_LIST_ORDER_DESC,
			})
			c.same("the newest one", page, &chatv1.ChatCompletionList{
				Data: created[2:], FirstId: created[2].GetId(), LastId: created[2].GetId(), HasMore: true,
			})
			page = c.list(&chatv1.ListChatCompletionsRequest{Metadata: map[string]string{"run": "another"}})
			c.same("a list without a match", page, &chatv1.ChatCompletionList{})

			id := created[0].GetId()
			c.same("the stored completion", c.get(id), created[0])

			updated := proto.CloneOf(created[0])
			updated.Metadata = map[string]string{"run": run["run"], "seen": "yes"}
			c.same("the updated completion", must(c, "UpdateChatCompletion", &chatv1.UpdateChatCompletionRequest{
				CompletionId: id, Metadata: updated.GetMetadata(),
			}, new(chatv1.ChatCompletion)), updated)
			c.same("the stored completion", c.get(id), updated)

			messages := must(c, "ListChatCompletionMessages", &chatv1.ListChatCompletionMessagesRequest{
				CompletionId: id, Limit: new(int32(1)),
			}, new(chatv1.ChatCompletionMessageList))
			if len(messages.GetData()) != 1 || messages.GetData()[0].GetRole() != chatv1.Role_ROLE_SYSTEM || !messages.GetHasMore() {
				t.Fatalf("got first page of messages %v", messages)
			}
			messages = must(c, "ListChatCompletionMessages", &chatv1.ListChatCompletionMessagesRequest{
				CompletionId: id, After: new(messages.GetLastId()),
			}, new(chatv1.ChatCompletionMessageList))
			if len(messages.GetData()) != 1 || messages.GetHasMore() {
				t.Fatalf("got last page of messages %v", messages)
			}
			said := messages.GetData()[0]
			c.same("the stored message", said, &chatv1.Message{
				Role:         chatv1.Role_ROLE_USER,
				ContentParts: []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "Hello by " + client.Name + ", 0"}}},
				Id:           new(messages.GetLastId()),
			})

			c.same("the deletion", must(c, "DeleteChatCompletion",
				&chatv1.DeleteChatCompletionRequest{CompletionId: id}, new(chatv1.ChatCompletionDeleted),
			), &chatv1.ChatCompletionDeleted{Id: id, Deleted: true})
			_, err := client.Unary(c.ctx, e2etest.Call{
				Method: "GetChatCompletion", Request: &chatv1.GetChatCompletionRequest{CompletionId: id},
			}, new(chatv1.ChatCompletion))
			failed := e2etest.AsRPCError(t, err)
			if failed.Code != connect.CodeNotFound || failed.Detail.GetHttpStatus() != 404 || !strings.Contains(failed.Message, id) {
				t.Errorf("got error %v with detail %v for a deleted completion", failed, failed.Detail)
			}
		})
	}
}

func TestSandbox_StreamEqualsUnaryResponse(t *testing.T) {
	t.Parallel()
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			request := e2etest.Hello()
			request.N = new(int32(2))
			completion := new(chatv1.ChatCompletion)
			if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: e2etest.UnaryMethod, Request: request}, completion); err != nil {
				t.Fatal(err)
			}
			request.StreamOptions = &chatv1.StreamOptions{IncludeUsage: new(true)}
			texts := make([]string, len(completion.GetChoices()))
			reasons := make([]chatv1.FinishReason, len(texts))
			var usage *chatv1.Usage
			_, err := client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: request}, func(chunk *chatv1.ChatCompletionChunk) {
				if chunk.GetId() != completion.GetId() {
					t.Errorf("got id %s, want %s", chunk.GetId(), completion.GetId())
				}
				for _, choice := range chunk.GetChoices() {
					texts[choice.GetIndex()] += choice.GetDelta().GetContent()
					if reason := choice.GetFinishReason(); reason != 0 {
						reasons[choice.GetIndex()] = reason
					}
				}
				if chunk.Usage != nil {
					usage = chunk.GetUsage()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			for i, choice := range completion.GetChoices() {
				if want := choice.GetMessage().GetContent(); texts[i] != want || want == "" {
					t.Errorf("got text %q, want %q", texts[i], want)
				}
				if want := choice.GetFinishReason(); reasons[i] != want {
					t.Errorf("got reason %v, want %v", reasons[i], want)
				}
			}
			if !proto.Equal(usage, completion.GetUsage()) {
				t.Errorf("got usage %v, want %v", usage, completion.GetUsage())
			}
		})
	}
}
