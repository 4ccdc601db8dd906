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

// LibraryClients returns the clients that need no process of their own, including
// those over HTTP/1.0.
func LibraryClients(tb testing.TB, front *servertest.Front) []Client {
	tb.Helper()
	clients := []Client{NewGRPCClient(tb, front)}
	for _, protocol := range slices.Concat(servertest.Protocols(), servertest.HTTP10Protocols()) {
		clients = append(clients, NewConnectClient(protocol.Name, front.Connect(tb, protocol)))
	}
	return clients
}

// The methods that create a completion.
const (
	UnaryMethod  = "CreateChatCompletion"
	StreamMethod = "StreamChatCompletion"
)

// Methods are both of them.
var Methods = []string{UnaryMethod, StreamMethod}

// ScriptedCall is a call to a server whose upstream is [ServeScripts].
type ScriptedCall struct {
	Method  string
	Script  string // sent in ScriptHeader
	Choices int32  // number of choices; zero for the upstream's default
	// Each, unless nil, receives each text of a stream as it arrives.
	Each func(text string)
}

// Result is the outcome of a ScriptedCall.
type Result struct {
	Chunks []string // in order
	Header http.Header
	Err    *RPCError // nil if the call succeeded
}

// Do makes the call. It fails the test if there is no result within [Timeout].
func (q ScriptedCall) Do(t *testing.T, client Client) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	defer cancel()
	a := q.DoContext(ctx, t, client)
	if ctx.Err() != nil {
		t.Fatalf("got no response within %v", Timeout)
	}
	return a
}

// DoContext makes the call. It fails the test on errors other than an
// [*RPCError].
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
			a.Chunks = append(a.Chunks, choice.GetMessage().GetContent())
		}
	} else {
		a.Header, err = client.Stream(ctx, c, func(chunk *chatv1.ChatCompletionChunk) {
			text := ChunkText(chunk)
			a.Chunks = append(a.Chunks, text)
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
		t.Fatalf("got error %v, want an RPC error", err)
	}
	a.Err = failed
	if text := failed.Message + failed.Detail.String(); strings.Contains(text, servertest.Key) {
		t.Errorf("error contains the client's key: %s", text)
	}
	return a
}

// Hello returns the smallest request.
func Hello() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{
		Model:    "gpt-5.4-mini",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	}
}

// ChunkText returns the text deltas of a chunk.
func ChunkText(chunk *chatv1.ChatCompletionChunk) string {
	var text strings.Builder
	for _, choice := range chunk.GetChoices() {
		text.WriteString(choice.GetDelta().GetContent())
	}
	return text.String()
}

// ScriptHeader is the metadata key that names the upstream's script.
const ScriptHeader = "X-Script"

// Receive receives a value. It fails the test if no value arrives within [Timeout].
func Receive[T any](tb testing.TB, from <-chan T, subject string) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(Timeout):
		tb.Fatalf("timed out waiting for %s", subject)
		panic("unreachable")
	}
}
