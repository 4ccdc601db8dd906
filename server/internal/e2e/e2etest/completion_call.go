package e2etest

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

// LibraryClients are the typedClients that need no process of their own.
func LibraryClients(tb testing.TB, front *servertest.Front) []Client {
	tb.Helper()
	clients := []Client{NewGRPCClient(tb, front)}
	for _, protocol := range slices.Concat(servertest.Protocols(), servertest.HTTP10Protocols()) {
		clients = append(clients, NewConnectClient(protocol.Name, front.Connect(tb, protocol)))
	}
	return clients
}

// The two ways to ask for a completion.
const (
	UnaryMethod  = "CreateChatCompletion"
	StreamMethod = "StreamChatCompletion"
)

var Methods = []string{UnaryMethod, StreamMethod}

// ScriptedCall asks a server in front of scripts for a completion.
type ScriptedCall struct {
	Method  string
	Script  string // what the upstream does
	Choices int32  // how many are asked for; zero leaves it to the upstream
	// each, unless nil, gets the texts of a stream as they come.
	Each func(text string)
}

// Result is what came of a question.
type Result struct {
	Texts  []string // the texts, in their order
	Header http.Header
	Err    *RPCError // nil if the call was a success
}

// Do asks the question. An answer has to come within [Timeout].
func (q ScriptedCall) Do(t *testing.T, client Client) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	a := q.DoContext(ctx, t, client)
	if ctx.Err() != nil {
		t.Fatalf("no answer came within %v", Timeout)
	}
	return a
}

// DoContext asks the question until ctx is done.
func (q ScriptedCall) DoContext(ctx context.Context, t *testing.T, client Client) Result {
	t.Helper()
	request := Hello()
	if q.Choices > 0 {
		request.N = new(q.Choices)
	}
	var (
		c   = Call{Method: q.Method, Request: request, Metadata: http.Header{ScriptHeader: {q.Script}}}
		a   Result
		err error
	)
	if q.Method == UnaryMethod {
		reply := new(chatv1.ChatCompletion)
		a.Header, err = client.Unary(ctx, c, reply)
		for _, choice := range reply.GetChoices() {
			a.Texts = append(a.Texts, choice.GetMessage().GetContent())
		}
	} else {
		a.Header, err = client.Stream(ctx, c, func(chunk *chatv1.ChatCompletionChunk) {
			text := ChunkText(chunk)
			a.Texts = append(a.Texts, text)
			if q.Each != nil {
				q.Each(text)
			}
		})
	}
	if err == nil {
		return a
	}
	failed, ok := errors.AsType[*RPCError](err)
	if !ok {
		t.Fatalf("the call failed by itself: %v", err)
	}
	a.Err = failed
	if everything := failed.Message + failed.Detail.String(); strings.Contains(everything, servertest.Key) {
		t.Errorf("the error holds the client's key: %s", everything)
	}
	return a
}

// Hello is the smallest request.
func Hello() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{
		Model:    "gpt-5.4-mini",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	}
}

func ChunkText(chunk *chatv1.ChatCompletionChunk) string {
	var text strings.Builder
	for _, choice := range chunk.GetChoices() {
		text.WriteString(choice.GetDelta().GetContent())
	}
	return text.String()
}

// ScriptHeader is the metadata that names the script which the upstream is to
// follow.
const ScriptHeader = "X-Script"

// Receive fails the test when what it waits for does not come.
func Receive[T any](tb testing.TB, from <-chan T, what string) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(Timeout):
		tb.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
