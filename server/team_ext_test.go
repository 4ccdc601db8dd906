package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"golang.org/x/net/http2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// team is the configuration of a server that knows one token, servertest.Key, by
// the name "alice", with further lines of the file of keys.
func team(tb testing.TB, upstream string, rules ...string) server.Config {
	tb.Helper()
	directory := tb.TempDir()
	key := filepath.Join(directory, "upstream.key")
	if err := os.WriteFile(key, []byte("sk-of-alice"), 0o600); err != nil {
		tb.Fatal(err)
	}
	digest := sha256.Sum256([]byte(servertest.Key))
	text := fmt.Sprintf("tokens:\n  - name: alice\n    hash: sha256:%s\n    upstream_key: {file: %q}\n", hex.EncodeToString(digest[:]), key)
	text += "    " + strings.Join(rules, "\n    ") + "\n"
	file := filepath.Join(directory, "clients.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	store, err := clients.Open(file, clients.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	limiter := ratelimit.NewMemory()
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
		if err := limiter.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server.Config{Upstream: upstream, Keys: store, Limiter: limiter}
}

const (
	usedAnswer = `{"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
	usedChunk  = `{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100}}`
)

// answerUsing answers as it is asked, with 100 tokens used.
func answerUsing(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" || r.Header.Get("X-Stream") != "" {
		servertest.Events(usedChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, usedAnswer)(w, r)
}

// A limit that is used up is told to clients of every kind, in their own way, and
// nothing of it reaches the upstream.
func TestLimitsHoldForEveryClient(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, rule string
		admitted   int
		says       string
		kind       string
	}{
		{"requests a minute", "limits: {requests_per_minute: 2}", 2, "requests per min (RPM): Limit 2", "requests"},
		{"requests a minute of a model", "limits: {models: {m*: {requests_per_minute: 2}}}", 2, "alice/m* on requests per min", "requests"},
		{"tokens a minute", "limits: {tokens_per_minute: 150}", 2, "tokens per min (TPM): Limit 150", "tokens"},
		{"tokens a day of a model", "limits: {models: {m: {tokens_per_day: 150}}}", 2, "tokens per day (TPD): Limit 150", "tokens"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range clientKinds() {
				for _, stream := range []bool{false, true} {
					upstream := servertest.StartUpstream(t, answerUsing)
					client := kind.open(t, startFront(t, team(t, upstream.URL, row.rule)))
					ask := func() (http.Header, error) {
						request := hello()
						request.Model = "m"
						if stream {
							return client.stream(within(t), call{method: "StreamChatCompletion", request: request}, func(*chatv1.ChatCompletionChunk) {})
						}
						return client.unary(within(t), call{method: "CreateChatCompletion", request: request}, new(chatv1.ChatCompletion))
					}
					for range row.admitted {
						if _, err := ask(); err != nil {
							t.Fatalf("%s: %v", client.name, err)
						}
					}
					header, err := ask()
					failed := failureOf(t, err)
					if failed.code != connect.CodeResourceExhausted || !strings.Contains(failed.message, row.says) {
						t.Errorf("%s, stream %t: %v", client.name, stream, failed)
					}
					if failed.detail.GetCode() != "rate_limit_exceeded" || failed.detail.GetType() != row.kind || failed.detail.GetHttpStatus() != http.StatusTooManyRequests {
						t.Errorf("%s, stream %t: the detail is %v", client.name, stream, failed.detail)
					}
					if delay := failed.retry.GetRetryDelay().AsDuration(); delay <= 0 {
						t.Errorf("%s, stream %t: no time to try again", client.name, stream)
					}
					if header.Get("Retry-After") == "" {
						t.Errorf("%s, stream %t: the metadata is %v", client.name, stream, header)
					}
					if got := len(upstream.Take()); got != row.admitted {
						t.Errorf("%s, stream %t: the upstream got %d requests, want %d", client.name, stream, got, row.admitted)
					}
				}
			}
		})
	}
}

// The same request counts the same whichever way it comes.
func TestRawAndTypedShareTheirLimits(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, answerUsing)
	front := startFront(t, team(t, upstream.URL, "limits: {tokens_per_minute: 400}"))
	raw := func(body string, header http.Header) (*http.Response, string) {
		request := exchange{method: http.MethodPost, path: "/v1/chat/completions", body: body, header: header}
		request.header.Set("Authorization", "Bearer "+servertest.Key)
		return request.run(within(t), t, front)
	}
	if response, body := raw(helloBody, http.Header{}); response.StatusCode != http.StatusOK || body != usedAnswer {
		t.Fatalf("%s: %s", response.Status, body)
	}
	if response, body := raw(helloBody, http.Header{"X-Stream": {"1"}}); response.StatusCode != http.StatusOK || body != "data: "+usedChunk+"\n\ndata: [DONE]\n\n" {
		t.Fatalf("%s: %s", response.Status, body)
	}
	for _, kind := range clientKinds()[:2] {
		if _, err := kind.open(t, front).unary(within(t), call{method: "CreateChatCompletion", request: hello()}, new(chatv1.ChatCompletion)); err != nil {
			t.Fatal(err)
		}
	}
	response, body := raw(helloBody, http.Header{})
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, `"type":"tokens"`) || !strings.Contains(body, `"code":"rate_limit_exceeded"`) ||
		response.Header.Get("Retry-After") == "" || response.Header.Get("X-Ratelimit-Remaining-Tokens") != "0" {
		t.Errorf("%s: %v %s", response.Status, response.Header, body)
	}
	if got := len(upstream.Take()); got != 4 {
		t.Errorf("the upstream got %d requests", got)
	}
}

// What a token may not ask for is refused in the words of the client's protocol.
func TestTokensHaveTheirModelsAndPaths(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, answerUsing)
	front := startFront(t, team(t, upstream.URL, "models: [gpt-5*]", "paths: [/v1/chat/completions, /v1/models*]"))
	for _, kind := range clientKinds() {
		client := kind.open(t, front)
		request := hello()
		request.Model = "gpt-4"
		_, err := client.unary(within(t), call{method: "CreateChatCompletion", request: request}, new(chatv1.ChatCompletion))
		if failed := failureOf(t, err); failed.code != connect.CodePermissionDenied || failed.detail.GetCode() != "model_not_allowed" || failed.detail.GetParam() != "model" {
			t.Errorf("%s: %v, %v", client.name, failed, failed.detail)
		}
		_, err = client.unary(within(t), call{method: "GetChatCompletion", request: &chatv1.GetChatCompletionRequest{CompletionId: "c"}}, new(chatv1.ChatCompletion))
		if failed := failureOf(t, err); failed.code != connect.CodePermissionDenied || failed.detail.GetCode() != "path_not_allowed" {
			t.Errorf("%s: %v, %v", client.name, failed, failed.detail)
		}
		if got := upstream.Take(); len(got) > 0 {
			t.Errorf("%s: the upstream got %d requests", client.name, len(got))
		}
		request.Model = "gpt-5.4"
		if _, err := client.unary(within(t), call{method: "CreateChatCompletion", request: request}, new(chatv1.ChatCompletion)); err != nil {
			t.Errorf("%s: %v", client.name, err)
		}
		for _, received := range upstream.Take() {
			if received.Header.Get("Authorization") != "Bearer sk-of-alice" {
				t.Errorf("%s: the upstream saw another key than alice's", client.name)
			}
		}
	}
}

// A client that begins a body and sends no more of it is told so, too, where the
// server reads it itself, to see which model is asked.
func TestAStalledBodyIsEndedWhereItsModelIsRead(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, answerUsing)
	front := servertest.StartWith(t, team(t, upstream.URL, "models: [m]", "limits: {requests_per_minute: 1000}"), tiny)
	const why = "\"the client sent nothing of the request's body for 100ms\""
	for _, kind := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain", ""} {
		for _, framing := range []string{"Content-Length: 10\r\n\r\n{", "Content-Length: 100000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n", "Transfer-Encoding: chunked\r\n\r\n5", "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"} {
			head := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + servertest.Key + "\r\nContent-Type: " + kind + "\r\n" + framing
			client := dialRaw(t, front)
			if _, err := io.WriteString(client, head); err != nil {
				t.Fatal(err)
			}
			answer, err := client.ReadRequest()
			if err == nil && strings.Contains(answer.Line, " 100 ") {
				answer, err = client.ReadRequest()
			}
			if err != nil || !strings.Contains(answer.Line, " 408 ") || !strings.Contains(answer.Body, why) {
				t.Errorf("%q: the answer is %s: %s (%v)", head, answer.Line, answer.Body, err)
			}
		}
		client := dialFramed(t, front)
		if err := client.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndHeaders: true,
			BlockFragment: client.encode(pseudo("POST", "/v1/chat/completions", field{Name: "content-type", Value: kind}, field{Name: "authorization", Value: "Bearer " + servertest.Key})),
		}); err != nil {
			t.Fatal(err)
		}
		if outcome := client.outcome(1); outcome != "408" {
			t.Errorf("%q over HTTP/2: the outcome is %s", kind, outcome)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("the upstream got %d requests", len(got))
	}
}

// A refusal doesn't cost the client its connection, whose next request may come soon.
func TestARefusalLeavesTheConnection(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, answerUsing)
	front := startFront(t, team(t, upstream.URL, "limits: {requests_per_minute: 1}"))
	client := servertest.HTTPClient(t, false)
	for i := range 4 {
		reused := false
		ctx := httptrace.WithClientTrace(within(t), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(helloBody))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+servertest.Key)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || reused != (i > 0) || (response.StatusCode == http.StatusOK) != (i == 0) {
			t.Errorf("request %d: %s over a connection that was used before: %t, %v", i, response.Status, reused, err)
		}
	}
}
