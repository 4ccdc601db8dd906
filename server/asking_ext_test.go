package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// libraryClients are the typedClients that need no process of their own.
func libraryClients(tb testing.TB, front *servertest.Front) []typedClient {
	tb.Helper()
	clients := []typedClient{grpcClient(tb, front)}
	for _, protocol := range slices.Concat(servertest.Protocols(), servertest.HTTP10Protocols()) {
		clients = append(clients, connectClient(protocol.Name, front.Connect(tb, protocol)))
	}
	return clients
}

// The two ways to ask for a completion.
const (
	unary     = "CreateChatCompletion"
	streaming = "StreamChatCompletion"
)

var bothWays = []string{unary, streaming}

// question asks a server in front of scripts for a completion.
type question struct {
	way     string
	script  string // what the upstream does
	choices int32  // how many are asked for; zero leaves it to the upstream
	// each, unless nil, gets the texts of a stream as they come.
	each func(text string)
}

// answered is what came of a question.
type answered struct {
	texts  []string // the texts, in their order
	header http.Header
	failed *failure // nil if the call was a success
}

// ask asks the question. An answer has to come within [patience].
func (q question) ask(t *testing.T, client typedClient) answered {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := q.askFor(ctx, t, client)
	if ctx.Err() != nil {
		t.Fatalf("no answer came within %v", patience)
	}
	return a
}

// askFor asks the question until ctx is done.
func (q question) askFor(ctx context.Context, t *testing.T, client typedClient) answered {
	t.Helper()
	request := hello()
	if q.choices > 0 {
		request.N = new(q.choices)
	}
	var (
		c   = call{method: q.way, request: request, metadata: http.Header{scriptHeader: {q.script}}}
		a   answered
		err error
	)
	if q.way == unary {
		reply := new(chatv1.ChatCompletion)
		a.header, err = client.unary(ctx, c, reply)
		for _, choice := range reply.GetChoices() {
			a.texts = append(a.texts, choice.GetMessage().GetContent())
		}
	} else {
		a.header, err = client.stream(ctx, c, func(chunk *chatv1.ChatCompletionChunk) {
			text := textOf(chunk)
			a.texts = append(a.texts, text)
			if q.each != nil {
				q.each(text)
			}
		})
	}
	if err == nil {
		return a
	}
	failed, ok := errors.AsType[*failure](err)
	if !ok {
		t.Fatalf("the call failed by itself: %v", err)
	}
	a.failed = failed
	if everything := failed.message + failed.detail.String(); strings.Contains(everything, servertest.Key) {
		t.Errorf("the error holds the client's key: %s", everything)
	}
	return a
}

// hello is the smallest request.
func hello() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{
		Model:    "gpt-5.4-mini",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	}
}

func textOf(chunk *chatv1.ChatCompletionChunk) string {
	var text strings.Builder
	for _, choice := range chunk.GetChoices() {
		text.WriteString(choice.GetDelta().GetContent())
	}
	return text.String()
}

// scriptHeader is the metadata that names the script which the upstream is to
// follow.
const scriptHeader = "X-Script"

// await fails the test when what it waits for does not come.
func await[T any](tb testing.TB, from <-chan T, what string) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		tb.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
