package protocols_test

import (
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/sdkcheck"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Every client sends all fields of OpenAI's API. The upstream receives exactly the
// body that the codec encodes. The SDK's types decode all of it, and the SDK sends an
// equal body.
func TestAllFields_OfRequest(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, request := range sdkcheck.Requests() {
		t.Run(request.Name, func(t *testing.T) {
			want, err := restjson.AppendRequest(nil, request.Typed, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sdkcheck.Params[openai.ChatCompletionNewParams](want); err != nil {
				t.Errorf("SDK failed to decode the body: %v", err)
			}
			sdk := front.SDK(t)
			if _, err := sdk.Chat.Completions.New(e2etest.Context(t), request.SDK); err != nil {
				t.Fatal(err)
			}
			if err := restjsontest.Same([]byte(e2etest.TakeOne(t, upstream).Body), want); err != nil {
				t.Errorf("SDK sends a different body: %v", err)
			}
			for _, kind := range e2etest.ClientKinds() {
				t.Run(kind.Name, func(t *testing.T) {
					client := kind.Open(t, front)
					c := e2etest.Call{Method: e2etest.UnaryMethod, Request: request.Typed}
					if _, err := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion)); err != nil {
						t.Fatal(err)
					}
					if got := e2etest.TakeOne(t, upstream).Body; got != string(want) {
						t.Errorf("got body at the upstream\n%s\nwant\n%s", got, want)
					}
				})
			}
		})
	}
}

func TestAllFields_OfResponse(t *testing.T) {
	t.Parallel()
	for _, want := range sdkcheck.Completions() {
		body, err := restjson.AppendFull(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, string(body)))
		front := servertest.Start(t, server.Config{Upstream: upstream.URL})
		for _, kind := range e2etest.ClientKinds() {
			t.Run(kind.Name, func(t *testing.T) {
				client := kind.Open(t, front)
				got := new(chatv1.ChatCompletion)
				if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: e2etest.UnaryMethod, Request: e2etest.Hello()}, got); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(got, want) {
					t.Errorf("got\n%v\nwant\n%v", got, want)
				}
			})
		}
	}
}

func TestAllFields_OfStream(t *testing.T) {
	t.Parallel()
	chunks := sdkcheck.Chunks()
	var events []string
	for _, chunk := range chunks {
		data, err := restjson.AppendFull(nil, chunk)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, string(data))
	}
	upstream := servertest.StartUpstream(t, servertest.Events(append(events, "[DONE]")...))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			rest := chunks
			_, err := client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: e2etest.Hello()}, func(got *chatv1.ChatCompletionChunk) {
				if len(rest) == 0 || !proto.Equal(got, rest[0]) {
					t.Fatalf("got\n%v\nwant the first of\n%v", got, rest)
				}
				rest = rest[1:]
			})
			if err != nil || len(rest) > 0 {
				t.Errorf("got error %v, want\n%v", err, rest)
			}
		})
	}
}
