package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/overload"
)

// A server that has all the calls that it takes says so at once, to clients of
// every kind in their own way, and goes on with those that it has. Its health is
// another matter.
func TestTooManyCallsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		answerUsing(w, r)
	})
	front := startFront(t, server.Config{Upstream: upstream.URL, Overload: &overload.Config{MaxCalls: 1}})
	var running sync.WaitGroup
	running.Go(func() {
		request := exchange{method: http.MethodPost, path: "/v1/chat/completions", body: helloBody}
		if response, body := request.run(within(t), t, front); response.StatusCode != http.StatusOK || body != usedAnswer {
			t.Errorf("the call that was let through: %s %s", response.Status, body)
		}
	})
	<-arrived
	for _, kind := range clientKinds() {
		client := kind.open(t, front)
		_, unary := client.unary(within(t), call{method: "CreateChatCompletion", request: hello()}, new(chatv1.ChatCompletion))
		_, stream := client.stream(within(t), call{method: "StreamChatCompletion", request: hello()}, func(*chatv1.ChatCompletionChunk) {})
		for _, err := range []error{unary, stream} {
			failed := failureOf(t, err)
			if failed.code != connect.CodeUnavailable || failed.detail.GetCode() != overload.Code || failed.detail.GetType() != "server_error" ||
				failed.retry.GetRetryDelay().AsDuration() <= 0 {
				t.Errorf("%s: %v, %v, %v", client.name, failed, failed.detail, failed.retry)
			}
		}
	}
	for _, http2 := range []bool{false, true} {
		request := exchange{method: http.MethodPost, path: "/v1/embeddings", body: "{}", http2: http2}
		response, body := request.run(within(t), t, front)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" ||
			!strings.Contains(body, `"code":"server_overloaded"`) || !strings.Contains(body, `"type":"server_error"`) {
			t.Errorf("raw: %s %v %s", response.Status, response.Header, body)
		}
	}
	request := exchange{method: http.MethodPost, path: "/grpc.health.v1.Health/Check", body: "{}", header: http.Header{"Content-Type": {"application/json"}}}
	if response, body := request.run(within(t), t, front); response.StatusCode != http.StatusOK || !strings.Contains(body, "SERVING") {
		t.Errorf("its health: %s %s", response.Status, body)
	}
	close(release)
	running.Wait()
	if got := len(upstream.Take()); got != 1 {
		t.Errorf("the upstream got %d requests", got)
	}
}
