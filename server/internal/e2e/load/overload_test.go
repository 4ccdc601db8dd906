package load_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/overload"
)

// A server at its request limit rejects further requests at once, with an error that
// clients of every kind understand. Requests in progress continue, and the health
// service answers.
func TestOverload_RejectsAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		e2etest.ServeUsage(w, r)
	})
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, Overload: &overload.Config{MaxCalls: 1}})
	var running sync.WaitGroup
	running.Go(func() {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: "/v1/chat/completions", Body: e2etest.HelloBody}
		if response, body := request.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK || body != e2etest.UsageCompletion {
			t.Errorf("admitted request: got status %s and body %s", response.Status, body)
		}
	})
	<-arrived
	for _, kind := range e2etest.ClientKinds() {
		client := kind.Open(t, front)
		_, unary := client.Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello()}, new(chatv1.ChatCompletion))
		_, stream := client.Stream(e2etest.Context(t), e2etest.Call{Method: "StreamChatCompletion", Request: e2etest.Hello()}, func(*chatv1.ChatCompletionChunk) {})
		for _, err := range []error{unary, stream} {
			failed := e2etest.AsRPCError(t, err)
			if failed.Code != connect.CodeUnavailable || failed.Detail.GetCode() != overload.Code || failed.Detail.GetType() != "server_error" ||
				failed.Retry.GetRetryDelay().AsDuration() <= 0 {
				t.Errorf("%s: got error %v, detail %v, retry %v", client.Name, failed, failed.Detail, failed.Retry)
			}
		}
	}
	for _, http2 := range []bool{false, true} {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: "/v1/embeddings", Body: "{}", HTTP2: http2}
		response, body := request.Do(e2etest.Context(t), t, front)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" ||
			!strings.Contains(body, `"code":"server_overloaded"`) || !strings.Contains(body, `"type":"server_error"`) {
			t.Errorf("raw: got status %s, header %v, and body %s", response.Status, response.Header, body)
		}
	}
	request := e2etest.HTTPRequest{Method: http.MethodPost, Path: "/grpc.health.v1.Health/Check", Body: "{}", Header: http.Header{"Content-Type": {"application/json"}}}
	if response, body := request.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK || !strings.Contains(body, "SERVING") {
		t.Errorf("health: got status %s and body %s", response.Status, body)
	}
	close(release)
	running.Wait()
	if got := len(upstream.Take()); got != 1 {
		t.Errorf("upstream received %d requests", got)
	}
}
