package policy_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"golang.org/x/net/http2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// An exhausted limit is an error that clients of every kind understand. The upstream
// receives nothing.
func TestRateLimit_RejectsClientsOfEveryKind(t *testing.T) {
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
			for _, kind := range e2etest.ClientKinds() {
				for _, stream := range []bool{false, true} {
					upstream := servertest.StartUpstream(t, e2etest.ServeUsage)
					client := kind.Open(t, e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, row.rule)))
					ask := func() (http.Header, error) {
						request := e2etest.Hello()
						request.Model = "m"
						if stream {
							return client.Stream(e2etest.Context(t), e2etest.Call{Method: "StreamChatCompletion", Request: request}, func(*chatv1.ChatCompletionChunk) {})
						}
						return client.Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: request}, new(chatv1.ChatCompletion))
					}
					for range row.admitted {
						if _, err := ask(); err != nil {
							t.Fatalf("%s: %v", client.Name, err)
						}
					}
					header, err := ask()
					failed := e2etest.AsRPCError(t, err)
					if failed.Code != connect.CodeResourceExhausted || !strings.Contains(failed.Message, row.says) {
						t.Errorf("%s, stream %t: got error %v", client.Name, stream, failed)
					}
					if failed.Detail.GetCode() != "rate_limit_exceeded" || failed.Detail.GetType() != row.kind || failed.Detail.GetHttpStatus() != http.StatusTooManyRequests {
						t.Errorf("%s, stream %t: got detail %v", client.Name, stream, failed.Detail)
					}
					if delay := failed.Retry.GetRetryDelay().AsDuration(); delay <= 0 {
						t.Errorf("%s, stream %t: got no retry delay", client.Name, stream)
					}
					if header.Get("Retry-After") == "" {
						t.Errorf("%s, stream %t: got metadata %v", client.Name, stream, header)
					}
					if got := len(upstream.Take()); got != row.admitted {
						t.Errorf("%s, stream %t: upstream received %d requests, want %d", client.Name, stream, got, row.admitted)
					}
				}
			}
		})
	}
}

// Typed and raw requests count the same.
func TestRateLimit_IsSharedByRawAndTypedRequests(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeUsage)
	front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "limits: {tokens_per_minute: 400}"))
	raw := func(body string, header http.Header) (*http.Response, string) {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: "/v1/chat/completions", Body: body, Header: header}
		request.Header.Set("Authorization", "Bearer "+servertest.Key)
		return request.Do(e2etest.Context(t), t, front)
	}
	if response, body := raw(e2etest.HelloBody, http.Header{}); response.StatusCode != http.StatusOK || body != e2etest.UsageCompletion {
		t.Fatalf("got status %s and body %s", response.Status, body)
	}
	if response, body := raw(e2etest.HelloBody, http.Header{"X-Stream": {"1"}}); response.StatusCode != http.StatusOK || body != "data: "+e2etest.UsageChunk+"\n\ndata: [DONE]\n\n" {
		t.Fatalf("got status %s and body %s", response.Status, body)
	}
	for _, kind := range e2etest.ClientKinds()[:2] {
		if _, err := kind.Open(t, front).Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello()}, new(chatv1.ChatCompletion)); err != nil {
			t.Fatal(err)
		}
	}
	response, body := raw(e2etest.HelloBody, http.Header{})
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, `"type":"tokens"`) || !strings.Contains(body, `"code":"rate_limit_exceeded"`) ||
		response.Header.Get("Retry-After") == "" || response.Header.Get("X-Ratelimit-Remaining-Tokens") != "0" {
		t.Errorf("got status %s, header %v, and body %s", response.Status, response.Header, body)
	}
	if got := len(upstream.Take()); got != 4 {
		t.Errorf("upstream received %d requests", got)
	}
}

// The error for a forbidden model or path has the form of the client's protocol.
func TestModelRules_RejectForbiddenModelsAndPaths(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeUsage)
	front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "models: [gpt-5*]", "paths: [/v1/chat/completions, /v1/models*]"))
	for _, kind := range e2etest.ClientKinds() {
		client := kind.Open(t, front)
		request := e2etest.Hello()
		request.Model = "gpt-4"
		_, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: request}, new(chatv1.ChatCompletion))
		if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodePermissionDenied || failed.Detail.GetCode() != "model_not_allowed" || failed.Detail.GetParam() != "model" {
			t.Errorf("%s: got error %v with detail %v", client.Name, failed, failed.Detail)
		}
		_, err = client.Unary(e2etest.Context(t), e2etest.Call{Method: "GetChatCompletion", Request: &chatv1.GetChatCompletionRequest{CompletionId: "c"}}, new(chatv1.ChatCompletion))
		if failed := e2etest.AsRPCError(t, err); failed.Code != connect.CodePermissionDenied || failed.Detail.GetCode() != "path_not_allowed" {
			t.Errorf("%s: got error %v with detail %v", client.Name, failed, failed.Detail)
		}
		if got := upstream.Take(); len(got) > 0 {
			t.Errorf("%s: upstream received %d requests", client.Name, len(got))
		}
		request.Model = "gpt-5.4"
		if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: "CreateChatCompletion", Request: request}, new(chatv1.ChatCompletion)); err != nil {
			t.Errorf("%s: %v", client.Name, err)
		}
		for _, received := range upstream.Take() {
			if received.Header.Get("Authorization") != "Bearer sk-of-alice" {
				t.Errorf("%s: got another upstream key than alice's", client.Name)
			}
		}
	}
}

// A client that stalls in a body gets an error also if the server buffers the body
// to find its model.
func TestModelRules_StalledBodyTimesOut(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeUsage)
	front := servertest.StartWith(t, e2etest.PolicyConfig(t, upstream.URL, "models: [m]", "limits: {requests_per_minute: 1000}"), e2etest.ShortTimeouts)
	const why = "\"the client sent nothing of the request body for 100ms\""
	for _, kind := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain", ""} {
		for _, framing := range []string{"Content-Length: 10\r\n\r\n{", "Content-Length: 100000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n", "Transfer-Encoding: chunked\r\n\r\n5", "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"} {
			head := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + servertest.Key + "\r\nContent-Type: " + kind + "\r\n" + framing
			client := e2etest.DialRaw(t, front)
			if _, err := io.WriteString(client, head); err != nil {
				t.Fatal(err)
			}
			answer, err := client.ReadRequest()
			if err == nil && strings.Contains(answer.Line, " 100 ") {
				answer, err = client.ReadRequest()
			}
			if err != nil || !strings.Contains(answer.Line, " 408 ") || !strings.Contains(answer.Body, why) {
				t.Errorf("%q: got response %s: %s (%v)", head, answer.Line, answer.Body, err)
			}
		}
		client := e2etest.DialHTTP2(t, front)
		if err := client.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndHeaders: true,
			BlockFragment: client.Encode(e2etest.RequestFields("POST", "/v1/chat/completions", e2etest.HeaderField{Name: "content-type", Value: kind}, e2etest.HeaderField{Name: "authorization", Value: "Bearer " + servertest.Key})),
		}); err != nil {
			t.Fatal(err)
		}
		if outcome := client.Outcome(1); outcome != "408" {
			t.Errorf("%q over HTTP/2: got outcome %s", kind, outcome)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("upstream received %d requests", len(got))
	}
}

// A rejection leaves the client's connection open for the next request.
func TestModelRules_RejectionKeepsConnection(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeUsage)
	front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "limits: {requests_per_minute: 1}"))
	client := servertest.HTTPClient(t, false)
	for i := range 4 {
		reused := false
		ctx := httptrace.WithClientTrace(e2etest.Context(t), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(e2etest.HelloBody))
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
			t.Errorf("request %d: got status %s, reused connection: %t, error %v", i, response.Status, reused, err)
		}
	}
}
