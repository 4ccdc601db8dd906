package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
)

func TestClient_SendsAPIKeyToUpstream(t *testing.T) {
	authorization := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id": "chatcmpl-1"}`)
	}))
	defer upstream.Close()
	front, err := server.New(server.Config{Upstream: upstream.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	url, stop := serve(front)
	defer stop()

	for name, protocol := range map[string]client.Protocol{
		"Connect": client.Connect, "gRPC": client.GRPC, "gRPC-Web": client.GRPCWeb,
	} {
		for _, test := range []struct {
			name      string
			key, call string
			want      string
		}{
			{"the client's key", "sk-client", "", "Bearer sk-client"},
			{"the call's key takes precedence", "sk-client", "Bearer sk-call", "Bearer sk-call"},
			{"no key", "", "", ""},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				ctx, info := connect.NewClientContext(context.Background())
				if test.call != "" {
					info.RequestHeader().Set("Authorization", test.call)
				}
				openai := client.New(url+"/", client.WithProtocol(protocol), client.WithAPIKey(test.key))
				completion, err := openai.Chat.Stub().GetChatCompletion(ctx, &chatv1.GetChatCompletionRequest{CompletionId: "chatcmpl-1"})
				if err != nil {
					t.Fatal(err)
				}
				if completion.GetId() != "chatcmpl-1" {
					t.Errorf("got id %q", completion.GetId())
				}
				if got := <-authorization; got != test.want {
					t.Errorf("got Authorization %q, want %q", got, test.want)
				}
			})
		}
	}
}

// serve serves a handler over HTTP/1.1 and HTTP/2 without TLS.
func serve(handler http.Handler) (url string, stop func()) {
	listener := httptest.NewUnstartedServer(handler)
	listener.Config.Protocols = new(http.Protocols)
	listener.Config.Protocols.SetHTTP1(true)
	listener.Config.Protocols.SetUnencryptedHTTP2(true)
	listener.Start()
	return listener.URL, listener.Close
}

// counter is an HTTP transport that counts requests.
type counter struct{ requests int }

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	c.requests++
	return http.DefaultTransport.RoundTrip(request)
}

func TestClient_UsesGivenHTTPClient(t *testing.T) {
	front, err := server.New(server.Config{Upstream: server.Sandbox})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	url, stop := serve(front)
	defer stop()
	defer http.DefaultClient.CloseIdleConnections()
	var sent counter
	openai := client.New(url, client.WithHTTPClient(&http.Client{Transport: &sent}))
	if _, err := openai.Chat.Stub().ListChatCompletions(t.Context(), &chatv1.ListChatCompletionsRequest{}); err != nil {
		t.Fatal(err)
	}
	if sent.requests != 1 {
		t.Errorf("got %d requests from the client", sent.requests)
	}
}
