package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startSandbox starts a server on the embedded upstream until the test ends.
func startSandbox(tb testing.TB, options ...client.Option) *client.Client {
	tb.Helper()
	return start(tb, server.Sandbox, options...)
}

// startUpstream starts a server on the given upstream until the test ends.
func startUpstream(tb testing.TB, handler http.HandlerFunc, options ...client.Option) *client.Client {
	tb.Helper()
	upstream := httptest.NewServer(handler)
	tb.Cleanup(upstream.Close)
	return start(tb, upstream.URL, options...)
}

func start(tb testing.TB, upstream string, options ...client.Option) *client.Client {
	tb.Helper()
	front, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = front.Close() })
	url, stop := serve(front)
	tb.Cleanup(stop)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	tb.Cleanup(transport.CloseIdleConnections)
	defaults := []client.Option{client.WithHTTPClient(&http.Client{Transport: transport}), client.WithMaxRetries(0)}
	return client.New(url, append(defaults, options...)...)
}

func ask(messages ...*chatv1.Message) *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{Model: "sandbox", Messages: messages}
}
