package client_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
)

// The call info has the headers of OpenAI's response, whether the call succeeds or
// fails.
func TestHeaders_OfResponseAreAvailable(t *testing.T) {
	headers := http.Header{
		"X-Request-Id":                   {"req_1"},
		"X-Ratelimit-Limit-Requests":     {"10000"},
		"X-Ratelimit-Remaining-Requests": {"9999"},
		"X-Ratelimit-Reset-Tokens":       {"30ms"},
		"Openai-Processing-Ms":           {"318"},
		"Retry-After":                    {"20"},
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), headers)
		switch {
		case r.Header.Get("X-Fail") != "":
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"error":{"message":"Slow down."}}`)
		case r.Header.Get("Accept") == "text/event-stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {}\n\ndata: [DONE]\n\n")
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id": "chatcmpl-1"}`)
		}
	}))
	defer upstream.Close()
	front, err := server.New(server.Config{Upstream: upstream.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	url, stop := serve(front)
	defer stop()

	hello := &chatv1.CreateChatCompletionRequest{
		Model:    "m",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
	}
	unary := func(ctx context.Context, openai *client.Client) error {
		_, err := openai.Chat.Stub().CreateChatCompletion(ctx, hello)
		return err
	}
	stream := func(ctx context.Context, openai *client.Client) error {
		stream, err := openai.Chat.Stub().StreamChatCompletion(ctx, hello)
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = stream.Receive()
		return err
	}
	for protocol, name := range map[client.Protocol]string{client.Connect: "Connect", client.GRPC: "gRPC", client.GRPCWeb: "gRPC-Web"} {
		for _, row := range []struct {
			name string
			call func(context.Context, *client.Client) error
			fail string
			code connect.Code
		}{
			{"a completion", unary, "", 0},
			{"a stream", stream, "", 0},
			{"an error", unary, "1", connect.CodeResourceExhausted},
			{"an error instead of a stream", stream, "1", connect.CodeResourceExhausted},
		} {
			t.Run(name+": "+row.name, func(t *testing.T) {
				ctx, info := connect.NewClientContext(t.Context())
				if row.fail != "" {
					info.RequestHeader().Set("X-Fail", row.fail)
				}
				err := row.call(ctx, client.New(url, client.WithProtocol(protocol)))
				if failed := err != nil; failed != (row.fail != "") || failed && connect.CodeOf(err) != row.code {
					t.Fatalf("got error %v", err)
				}
				for name, want := range headers {
					if got := info.ResponseHeader().Values(name); !slices.Equal(got, want) {
						t.Errorf("got %s %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}
