package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/client"
)

func protocols() map[string]client.Protocol {
	return map[string]client.Protocol{"Connect": client.Connect, "gRPC": client.GRPC, "gRPC-Web": client.GRPCWeb}
}

// plain returns the client's error without the errors that wrap it.
func plain(t *testing.T, err error) client.Error {
	t.Helper()
	failed, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *client.Error", err)
	}
	if _, ok := errors.AsType[*connect.Error](err); !ok {
		t.Errorf("%v does not wrap a *connect.Error", err)
	}
	return client.Error{
		Message: failed.Message, Type: failed.Type, Code: failed.Code, Param: failed.Param, Status: failed.Status,
		RequestID: failed.RequestID, RetryAfter: failed.RetryAfter, ConnectCode: failed.ConnectCode,
	}
}

func TestError_HasFieldsOfUpstreamError(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   client.Error
		text   string
	}{
		{
			"an error of OpenAI's", http.StatusBadRequest,
			map[string]string{"X-Request-Id": "req_1"},
			`{"error":{"message":"No such model.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`,
			client.Error{
				Message: "No such model.", Type: "invalid_request_error", Code: "model_not_found", Param: "model",
				Status: http.StatusBadRequest, RequestID: "req_1", ConnectCode: connect.CodeInvalidArgument,
			},
			"400 model_not_found: No such model. (request req_1)",
		},
		{
			"an error with only a message", http.StatusUnauthorized, nil, `{"error":{"message":"Who are you?"}}`,
			client.Error{Message: "Who are you?", Status: http.StatusUnauthorized, ConnectCode: connect.CodeUnauthenticated},
			"401 unauthenticated: Who are you?",
		},
		{
			"an error with a retry delay in seconds", http.StatusTooManyRequests,
			map[string]string{"Retry-After": "20"},
			`{"error":{"message":"Slow down.","type":"requests","code":"rate_limit_exceeded"}}`,
			client.Error{
				Message: "Slow down.", Type: "requests", Code: "rate_limit_exceeded",
				Status: http.StatusTooManyRequests, RetryAfter: 20 * time.Second, ConnectCode: connect.CodeResourceExhausted,
			},
			"429 rate_limit_exceeded: Slow down.",
		},
		{
			"an error with a retry delay in milliseconds", http.StatusServiceUnavailable,
			map[string]string{"Retry-After-Ms": "1500", "Retry-After": "2"},
			`{"error":{"message":"Busy."}}`,
			client.Error{
				Message: "Busy.", Status: http.StatusServiceUnavailable, RetryAfter: 1500 * time.Millisecond, ConnectCode: connect.CodeUnavailable,
			},
			"503 unavailable: Busy.",
		},
	} {
		for name, protocol := range protocols() {
			for kind, call := range calls() {
				t.Run(row.name+"/"+name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					openai := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
						for name, value := range row.header {
							w.Header().Set(name, value)
						}
						w.Header().Set("Content-Type", "application/json")
						w.WriteHeader(row.status)
						_, _ = io.WriteString(w, row.body)
					}, client.WithProtocol(protocol))
					_, err := call(t.Context(), openai)
					if got := plain(t, err); got != row.want {
						t.Errorf("got  %#v\nwant %#v", got, row.want)
					}
					if err.Error() != row.text {
						t.Errorf("got text %q, want %q", err, row.text)
					}
				})
			}
		}
	}
}

func TestError_WithoutUpstreamResponse(t *testing.T) {
	t.Parallel()
	never := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	cancelled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	soon := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 50*time.Millisecond)
	}
	for _, row := range []struct {
		name  string
		limit func(context.Context) (context.Context, context.CancelFunc)
		code  connect.Code
		cause error
	}{
		{"canceled by the caller", cancelled, connect.CodeCanceled, context.Canceled},
		{"deadline of the caller exceeded", soon, connect.CodeDeadlineExceeded, context.DeadlineExceeded},
	} {
		for name, protocol := range protocols() {
			for kind, call := range calls() {
				t.Run(row.name+"/"+name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					openai := startUpstream(t, never, client.WithProtocol(protocol), client.WithMaxRetries(2))
					ctx, cancel := row.limit(t.Context())
					defer cancel()
					_, err := call(ctx, openai)
					failed, ok := errors.AsType[*client.Error](err)
					if !ok || failed.ConnectCode != row.code || !errors.Is(err, row.cause) {
						t.Errorf("got error %v", err)
					}
				})
			}
		}
	}
	t.Run("unreachable server", func(t *testing.T) {
		t.Parallel()
		openai := client.New("http://127.0.0.1:1", client.WithMaxRetries(0), client.WithAPIKey("sk-secret"))
		_, err := openai.Chat.Create(t.Context(), ask(client.User("Hello!")))
		if got := plain(t, err); got.ConnectCode != connect.CodeUnavailable || got.Status != 0 {
			t.Errorf("got %#v", got)
		}
		if strings.Contains(err.Error(), "sk-secret") {
			t.Errorf("got the API key in %q", err)
		}
	})
	t.Run("is that the server can't translate the request", func(t *testing.T) {
		t.Parallel()
		request := ask(client.User("Hello!"))
		request.Messages[0].ContentParts = append(request.Messages[0].ContentParts, client.Text("And this."))
		_, err := startSandbox(t).Chat.Create(t.Context(), request)
		if got := plain(t, err); !client.IsInvalid(err) || got.Status != 0 {
			t.Errorf("got %#v", got)
		}
	})
}

func TestError_HasAKind(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(error) bool{
		"rate limited": client.IsRateLimited, "unauthenticated": client.IsUnauthenticated,
		"not found": client.IsNotFound, "invalid": client.IsInvalid,
	}
	for status, want := range map[string]string{
		"429": "rate limited", "401": "unauthenticated", "404": "not found", "400": "invalid", "500": "",
	} {
		openai := startSandbox(t, client.WithHeader("X-Sandbox-Status", status))
		_, err := openai.Chat.Get(t.Context(), "chatcmpl-1")
		for kind, is := range kinds {
			if is(err) != (kind == want) {
				t.Errorf("%v is %s: got %t", err, kind, is(err))
			}
		}
	}
	for kind, is := range kinds {
		if is(nil) || is(io.EOF) {
			t.Errorf("nil or a foreign error is reported as %s", kind)
		}
	}
}
