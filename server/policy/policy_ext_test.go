package policy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is an upstream that records requests and always sends the same response.
type recorder struct {
	response string
	header   http.Header
	err      error
	requests []*upstream.Request
	bodies   []string
}

func (r *recorder) Send(_ context.Context, req *upstream.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	body := []byte(nil)
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	r.bodies = append(r.bodies, string(body))
	if r.err != nil {
		return nil, r.err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	maps.Copy(header, r.header)
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(strings.NewReader(r.response)), ContentLength: int64(len(r.response)),
	}, nil
}

const response = `{"object": "chat.completion", "model": "gpt-5.4-mini-2026-03-01", "usage": {"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33}}`

// post returns a request to create a completion.
func post(body string) *upstream.Request {
	return &upstream.Request{
		Method: http.MethodPost, Target: "/v1/chat/completions",
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer of-the-client"}},
		Body:   struct{ io.Reader }{strings.NewReader(body)}, ContentLength: int64(len(body)),
	}
}

// send sends a request of a client and ends it.
func send(t *testing.T, sender *policy.Sender, client *clients.Client, req *upstream.Request) (*request.Record, *http.Response, string) {
	t.Helper()
	record := &request.Record{Client: client}
	defer record.End()
	resp, err := sender.Send(request.NewContext(t.Context(), record), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return record, resp, string(text)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

func TestPolicy_AuthorizesPathsAndModels(t *testing.T) {
	models := &clients.Client{Name: "m", Models: clients.Patterns{"gpt-5*", "small"}}
	paths := &clients.Client{Name: "p", Paths: clients.Patterns{"/v1/chat/completions", "/v1/files/*"}}
	both := &clients.Client{Name: "b", Models: clients.Patterns{"small"}, Paths: clients.Patterns{"/v1/chat/completions", "/v1/files*", "/v1/audio/*"}}
	byModel := &clients.Client{Name: "l", ModelLimits: []clients.ModelLimits{{Models: "large", Limits: ratelimit.Limits{RequestsPerMinute: 1}}}}
	websocket := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	const form = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmall\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nbytes\r\n--x--\r\n"
	for _, row := range []struct {
		name   string
		client *clients.Client
		method string
		target string
		header http.Header
		body   string
		status int
		code   string
	}{
		{"an allowed model", models, "POST", "/v1/chat/completions", nil, `{"model": "small"}`, 200, ""},
		{"a model that matches a pattern", models, "POST", "/v1/responses", nil, `{"input": "model", "model": "gpt-5.4-mini"}`, 200, ""},
		{"a field name with escapes", models, "POST", "/v1/responses", nil, `{"mod\u0065l": "gpt-4"}`, 403, "model_not_allowed"},
		{"another model", models, "POST", "/v1/chat/completions", nil, `{"model": "gpt-4"}`, 403, "model_not_allowed"},
		{"another model in a nested object", models, "POST", "/v1/chat/completions", nil, `{"a": {"model": "gpt-4"}, "model": "small"}`, 200, ""},
		{"two models", models, "POST", "/v1/chat/completions", nil, `{"model": "small", "model": "gpt-4"}`, 400, "model_not_unique"},
		{"a model that is not a string", models, "POST", "/v1/chat/completions", nil, `{"model": ["small"]}`, 403, "model_not_allowed"},
		{"no model", models, "POST", "/v1/batches", nil, `{"input_file_id": "file-1"}`, 403, "model_not_allowed"},
		{"not JSON", models, "POST", "/v1/chat/completions", nil, `model=small`, 403, "model_not_allowed"},
		{"an allowed model and a list with another", models, "POST", "/v1/chat/completions", nil, `{"model": "small", "models": ["gpt-4"]}`, 403, "model_not_allowed"},
		{"an allowed model and a list of allowed ones", models, "POST", "/v1/chat/completions", nil, `{"model": "small", "models": ["gpt-5.4", "small"]}`, 200, ""},
		{"another model after the JSON", models, "POST", "/v1/chat/completions", nil, `{"model": "small"}{"model": "gpt-4"}`, 403, "model_not_allowed"},
		{"a body that cannot be decoded completely", models, "POST", "/v1/chat/completions", http.Header{"Content-Encoding": {"gzip"}}, zipped(t, `{"model": "small"`) + "?", 403, "model_not_allowed"},
		{"a model in another charset", models, "POST", "/v1/chat/completions", http.Header{"Content-Type": {"application/json; charset=utf-7"}}, `{"model": "small", "+AG0-odel": "gpt-4"}`, 403, "model_not_allowed"},
		{"two content types", models, "POST", "/v1/chat/completions", http.Header{"Content-Type": {"application/json", "multipart/form-data; boundary=x"}}, `{"model": "small"}`, 403, "model_not_allowed"},
		{"another model with a lower-case method", models, "post", "/v1/chat/completions", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "model=gpt-4", 403, "model_not_allowed"},
		{"a model without limits", byModel, "POST", "/v1/chat/completions", nil, `{"model": "other"}`, 200, ""},
		{"no model, limits by model", byModel, "POST", "/v1/responses", nil, `{"prompt": {"id": "pmpt_1"}}`, 200, ""},
		{"a file, limits by model", byModel, "POST", "/v1/files", http.Header{"Content-Type": {"application/octet-stream"}}, "bytes", 200, ""},
		{"two models, limits by model", byModel, "POST", "/v1/chat/completions", nil, `{"model": "large", "Model": "other"}`, 400, "model_not_unique"},
		{"an unknown content coding, limits by model", byModel, "POST", "/v1/chat/completions", http.Header{"Content-Encoding": {"secret"}}, "...", 403, "model_not_allowed"},
		{"a WebSocket with an allowed model", models, "GET", "/v1/realtime?model=small", websocket, "", 200, ""},
		{"a WebSocket with another model", models, "GET", "/v1/realtime?model=gpt-4", websocket, "", 403, "model_not_allowed"},
		{"a WebSocket whose messages name models", models, "GET", "/v1/responses?model=small", websocket, "", 403, "model_not_allowed"},
		{"a WebSocket whose messages name models, limits by model", byModel, "GET", "/v1/responses?model=small", websocket, "", 403, "model_not_allowed"},
		{"an allowed model in the path and another in the body", models, "POST", "/openai/deployments/small/chat/completions", nil, `{"model": "gpt-4"}`, 403, "model_not_allowed"},
		{"allowed models in the path and the body", models, "POST", "/openai/deployments/small/chat/completions", nil, `{"model": "gpt-5.4"}`, 200, ""},
		{"another model in the query", models, "POST", "/v1/chat/completions?model=gpt-4", nil, `{"model": "small"}`, 403, "model_not_allowed"},
		{"a model only in the query", models, "POST", "/v1/chat/completions?model=small", nil, `{"messages": []}`, 403, "model_not_allowed"},
		{"another model in a header field", models, "POST", "/v1/chat/completions", http.Header{"X-Litellm-Model": {"gpt-4"}}, `{"model": "small"}`, 403, "model_not_allowed"},
		{"another model in a tool", models, "POST", "/v1/responses", nil, `{"model": "small", "tools": [{"type": "image_generation", "model": "gpt-image-1"}]}`, 403, "model_not_allowed"},
		{"an allowed model in a tool", models, "POST", "/v1/responses", nil, `{"model": "small", "tools": [{"type": "image_generation", "model": "gpt-5-image"}]}`, 200, ""},
		{"a model in metadata and a schema", models, "POST", "/v1/responses", nil, `{"model": "small", "metadata": {"model": "x"}, "tools": [{"type": "function", "parameters": {"properties": {"model": {}}, "model": "gpt-4"}}]}`, 200, ""},
		{"a method override", models, "GET", "/v1/chat/completions", http.Header{"X-Http-Method-Override": {"POST"}}, "", 403, "model_not_allowed"},
		{"a method override, limits by model", byModel, "GET", "/v1/files", http.Header{"X-Http-Method-Override": {"POST"}}, "", 403, "model_not_allowed"},
		{"a method override without model rules", paths, "GET", "/v1/files/x", http.Header{"X-Http-Method-Override": {"POST"}}, "", 200, ""},
		{"a form with PUT", models, "PUT", "/v1/chat/completions", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "model=gpt-4", 403, "model_not_allowed"},
		{"another model with DELETE", models, "DELETE", "/api/delete", nil, `{"name": "gpt-4"}`, 403, "model_not_allowed"},
		{"an allowed model with DELETE", models, "DELETE", "/api/delete", nil, `{"name": "small"}`, 200, ""},
		{"a GET", models, "GET", "/v1/chat/completions/chatcmpl-1", nil, "", 200, ""},
		{"a DELETE without a model", models, "DELETE", "/v1/chat/completions/chatcmpl-1", nil, "", 200, ""},
		{"a compressed body", models, "POST", "/v1/chat/completions", http.Header{"Content-Encoding": {"gzip"}}, zipped(t, `{"model": "small"}`), 200, ""},
		{"another model, compressed", models, "POST", "/v1/chat/completions", http.Header{"Content-Encoding": {"gzip"}}, zipped(t, `{"model": "gpt-4"}`), 403, "model_not_allowed"},
		{"an unknown content coding", models, "POST", "/v1/chat/completions", http.Header{"Content-Encoding": {"secret"}}, "...", 403, "model_not_allowed"},
		{"a form", both, "POST", "/v1/audio/transcriptions", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, form, 200, ""},
		{"another model in a form", both, "POST", "/v1/audio/transcriptions", http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}, strings.Replace(form, "small", "large", 1), 403, "model_not_allowed"},
		{"an allowed path", paths, "POST", "/v1/chat/completions?x=1", nil, "{}", 200, ""},
		{"a path that matches a pattern", paths, "GET", "/v1/files/file-1/content", nil, "", 200, ""},
		{"another path", paths, "POST", "/v1/embeddings", nil, "{}", 403, "path_not_allowed"},
		{"a path with dot segments", paths, "POST", "/v1/files/../embeddings", nil, "{}", 403, "path_not_allowed"},
		{"a path with encoded dot segments", paths, "POST", "/v1/files/%2e%2e/embeddings", nil, "{}", 403, "path_not_allowed"},
		{"a path with dot segments and an encoded slash", paths, "POST", "/v1/files/..%2fembeddings", nil, "{}", 403, "path_not_allowed"},
		{"a path with dot segments, encoded twice", paths, "POST", "/v1/files/%252e%252e/embeddings", nil, "{}", 403, "path_not_allowed"},
		{"no model on an allowed path", both, "POST", "/v1/files", http.Header{"Content-Type": {"multipart/form-data; boundary=y"}}, "--y--\r\n", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			up := &recorder{response: response}
			req := post(row.body)
			req.Method, req.Target = row.method, row.target
			maps.Copy(req.Header, row.header)
			record, resp, text := send(t, policy.New(policy.Config{Next: up}), row.client, req)
			if resp.StatusCode != row.status || record.RejectedBy != row.code {
				t.Fatalf("status %d, rejected by %q, want %d and %q: %s", resp.StatusCode, record.RejectedBy, row.status, row.code, text)
			}
			if row.code == "" {
				if up.bodies[0] != row.body {
					t.Errorf("the upstream got %q, want %q", up.bodies[0], row.body)
				}
				return
			}
			if len(up.requests) != 0 {
				t.Error("the request reached the upstream")
			}
			var rejection struct {
				Error struct{ Message, Type, Code string }
			}
			if err := json.Unmarshal([]byte(text), &rejection); err != nil || rejection.Error.Code != row.code ||
				rejection.Error.Type != "invalid_request_error" || rejection.Error.Message == "" {
				t.Errorf("got body %s, error %v, want an OpenAI error", text, err)
			}
		})
	}
}

func TestPolicy_RejectsBodiesTooLargeToBuffer(t *testing.T) {
	up := &recorder{response: response}
	sender := policy.New(policy.Config{Next: up, MaxBodyBytes: 100})
	client := &clients.Client{Name: "m", Models: clients.Patterns{"small"}}
	record, resp, _ := send(t, sender, client, post(`{"input": "`+strings.Repeat("x", 100)+`", "model": "small"}`))
	if resp.StatusCode != http.StatusRequestEntityTooLarge || record.RejectedBy != "request_too_large" || len(up.requests) != 0 {
		t.Errorf("status %d, rejected by %q, %d requests were forwarded", resp.StatusCode, record.RejectedBy, len(up.requests))
	}
}

// Buffered bodies share a budget, which is available again after them.
func TestPolicy_BoundsMemoryForBodies(t *testing.T) {
	t.Parallel()
	client := &clients.Client{Name: "m", Models: clients.Patterns{"small"}}
	long := `{"input": "` + strings.Repeat("x", 600) + `", "model": "small"}`
	inside := make(chan struct{})
	leave := make(chan struct{})
	waiting := senderFunc(func(req *upstream.Request) (*http.Response, error) {
		inside <- struct{}{}
		<-leave
		return (&recorder{response: response}).Send(t.Context(), req)
	})
	sender := policy.New(policy.Config{Next: waiting, Memory: memory.New(1000, false)})
	var first sync.WaitGroup
	first.Go(func() {
		if _, resp, err := sendRaw(t, sender, client, post(long)); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("first request: %v, %v", resp, err)
		}
	})
	<-inside
	record, resp, err := sendRaw(t, sender, client, post(long))
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || record.RejectedBy != "server_overloaded" {
		t.Errorf("second request: %v, %v", resp, err)
	}
	close(leave)
	first.Wait()
	var third sync.WaitGroup
	third.Go(func() { <-inside })
	if _, resp, err := sendRaw(t, sender, client, post(long)); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("third request: %v, %v", resp, err)
	}
	third.Wait()
}

// senderFunc is a function that implements upstream.Sender.
type senderFunc func(req *upstream.Request) (*http.Response, error)

func (f senderFunc) Send(_ context.Context, req *upstream.Request) (*http.Response, error) {
	return f(req)
}

// The body is read only if a rule depends on it.
func TestPolicy_ReadsBodyOnlyIfNeeded(t *testing.T) {
	up := &recorder{response: response}
	client := &clients.Client{Name: "a", Paths: clients.Patterns{"/v1/*"}, Limits: ratelimit.Limits{RequestsPerMinute: 5, TokensPerDay: 7}}
	req := post(`{"model": "small"}`)
	body := req.Body
	if _, _, err := sendRaw(t, policy.New(policy.Config{Next: up}), client, req); err != nil {
		t.Fatal(err)
	}
	if up.requests[0].Body != body {
		t.Error("the upstream got a changed body")
	}
}

func sendRaw(t *testing.T, sender *policy.Sender, client *clients.Client, req *upstream.Request) (*request.Record, *http.Response, error) {
	t.Helper()
	record := &request.Record{Client: client}
	defer record.End()
	resp, err := sender.Send(request.NewContext(t.Context(), record), req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return record, resp, err
}

func TestPolicy_EnforcesRateLimits(t *testing.T) {
	limiter := ratelimit.NewMemory()
	defer func() { _ = limiter.Close() }()
	up := &recorder{response: response}
	var decisions []ratelimit.Kind
	sender := policy.New(policy.Config{
		Next: up, Limiter: limiter,
		OnDecision: func(client string, rejected ratelimit.Kind, _ bool) {
			if client != "carol" {
				t.Errorf("OnDecision was called for %q", client)
			}
			decisions = append(decisions, rejected)
		},
	})
	client := &clients.Client{Name: "carol", Limits: ratelimit.Limits{RequestsPerMinute: 5, TokensPerMinute: 60}}
	for i := range 2 {
		record, resp, _ := send(t, sender, client, post("{}"))
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: status %d", i, resp.StatusCode)
		}
		used := record.Progress().Usage
		if used.Input != 11 || used.Output != 22 || used.Total != 33 || used.Estimated || record.Progress().Model != "gpt-5.4-mini-2026-03-01" {
			t.Errorf("got progress %+v", record.Progress())
		}
		if got := resp.Header.Get("X-Ratelimit-Limit-Requests"); got != "5" {
			t.Errorf("got X-Ratelimit-Limit-Requests %q, want 5", got)
		}
	}
	record, resp, text := send(t, sender, client, post("{}"))
	switch {
	case resp.StatusCode != http.StatusTooManyRequests || record.RejectedBy != "rate_limit_exceeded" || len(up.requests) != 2:
		t.Errorf("status %d, rejected by %q, %d requests were forwarded", resp.StatusCode, record.RejectedBy, len(up.requests))
	case resp.Header.Get("Retry-After") == "" || resp.Header.Get("X-Ratelimit-Remaining-Tokens") != "0" || !strings.Contains(text, "tokens per min"):
		t.Errorf("got rejection %v %s", resp.Header, text)
	}
	if want := []ratelimit.Kind{"", "", ratelimit.TokensPerMinute}; len(decisions) != 3 || decisions[2] != want[2] {
		t.Errorf("got decisions %q, want %q", decisions, want)
	}
}

func TestPolicy_KeepsRateLimitHeadersOfUpstream(t *testing.T) {
	limiter := ratelimit.NewMemory()
	defer func() { _ = limiter.Close() }()
	up := &recorder{response: response, header: http.Header{"X-Ratelimit-Remaining-Requests": {"4999"}}}
	client := &clients.Client{Name: "carol", Limits: ratelimit.Limits{RequestsPerMinute: 5}}
	_, resp, _ := send(t, policy.New(policy.Config{Next: up, Limiter: limiter}), client, post("{}"))
	if got := resp.Header.Values("X-Ratelimit-Remaining-Requests"); len(got) != 1 || got[0] != "4999" || resp.Header.Get("X-Ratelimit-Limit-Requests") != "" {
		t.Errorf("got header %v, want the rate limits of the upstream", resp.Header)
	}
}

// A stream is released when its request ends, for any reason.
func TestPolicy_ReleasesStreams(t *testing.T) {
	limiter := ratelimit.NewMemory()
	defer func() { _ = limiter.Close() }()
	client := &clients.Client{Name: "s", Limits: ratelimit.Limits{ConcurrentStreams: 1}}
	const streams = `{"model": "m", "stream": true}`
	broken := errors.New("the upstream is unavailable")
	up := &recorder{response: response}
	sender := policy.New(policy.Config{Next: up, Limiter: limiter})
	for range 3 {
		up.err = broken
		if _, _, err := sendRaw(t, sender, client, post(streams)); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		up.err = nil
		if _, resp, err := sendRaw(t, sender, client, post(streams)); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	open := &request.Record{Client: client}
	defer open.End()
	resp, err := sender.Send(request.NewContext(t.Context(), open), post(streams))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if record, second, err := sendRaw(t, sender, client, post(streams)); err != nil || second.StatusCode != http.StatusTooManyRequests || !record.Streaming {
		t.Errorf("second stream: %v, %v", second, err)
	}
	if _, other, err := sendRaw(t, sender, client, post(`{"model": "m"}`)); err != nil || other.StatusCode != http.StatusOK {
		t.Errorf("not a stream: %v, %v", other, err)
	}
}

// A truncated body is an error of the client.
func TestPolicy_ReportsTruncatedBody(t *testing.T) {
	client := &clients.Client{Name: "m", Models: clients.Patterns{"small"}}
	req := post("")
	req.Body = io.MultiReader(strings.NewReader(`{"model": "sm`), failing{})
	_, _, err := sendRaw(t, policy.New(policy.Config{Next: &recorder{response: response}}), client, req)
	if failure, ok := errors.AsType[*upstream.Error](err); !ok || failure.Kind != upstream.KindRequest {
		t.Errorf("got error %v, want a request error", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

// A response may be a stream although the request does not ask for one.
func TestPolicy_CountsUnannouncedStreams(t *testing.T) {
	limiter := ratelimit.NewMemory()
	defer func() { _ = limiter.Close() }()
	up := &recorder{response: "data: {}\n\n", header: http.Header{"Content-Type": {"text/event-stream"}}}
	var rejected []ratelimit.Kind
	sender := policy.New(policy.Config{Next: up, Limiter: limiter, OnDecision: func(_ string, kind ratelimit.Kind, _ bool) {
		if kind != "" {
			rejected = append(rejected, kind)
		}
	}})
	client := &clients.Client{Name: "carol", Limits: ratelimit.Limits{ConcurrentStreams: 1}}
	resume := func(record *request.Record) *http.Response {
		resp, err := sender.Send(request.NewContext(t.Context(), record), &upstream.Request{Method: http.MethodGet, Target: "/v1/responses/resp_1?stream=true"})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first, second, third := &request.Record{Client: client}, &request.Record{Client: client}, &request.Record{Client: client}
	resp := resume(first)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !first.Streaming {
		t.Fatalf("status %d, streaming %t", resp.StatusCode, first.Streaming)
	}
	other := resume(second)
	defer other.Body.Close()
	if other.StatusCode != http.StatusTooManyRequests || second.RejectedBy != "rate_limit_exceeded" || len(rejected) != 1 || rejected[0] != ratelimit.ConcurrentStreams {
		t.Errorf("second stream: status %d, rejected by %q, decisions %q", other.StatusCode, second.RejectedBy, rejected)
	}
	second.End()
	first.End()
	last := resume(third)
	defer last.Body.Close()
	if last.StatusCode != http.StatusOK {
		t.Errorf("after the stream: status %d", last.StatusCode)
	}
	third.End()
}

// The length of an uploaded file is not an estimate of input tokens.
func TestPolicy_DoesNotEstimateFormsByLength(t *testing.T) {
	const form = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n%s\r\n--x--\r\n"
	up := &recorder{response: `{"text": "four", "usage": {"type": "duration", "seconds": 1}}`}
	req := post(fmt.Sprintf(form, strings.Repeat("x", 1<<20)))
	req.Target = "/v1/audio/transcriptions"
	req.Header["Content-Type"] = []string{"multipart/form-data; boundary=x"}
	record, _, _ := send(t, policy.New(policy.Config{Next: up}), &clients.Client{Name: "a", Limits: ratelimit.Limits{TokensPerDay: 1000}}, req)
	if used := record.Progress().Usage; used.Total != 1 || !used.Estimated {
		t.Errorf("got usage %+v, want an estimate of 1 token", used)
	}
}

// A buffered body is sent without Expect: some upstreams never send 100 Continue.
func TestPolicy_RemovesExpectOfBufferedBody(t *testing.T) {
	for name, row := range map[string]struct {
		client *clients.Client
		want   string
	}{
		"read":     {&clients.Client{Name: "m", Models: clients.Patterns{"small"}}, ""},
		"not read": {&clients.Client{Name: "p"}, "100-continue"},
	} {
		up := &recorder{response: response}
		req := post(`{"model": "small"}`)
		req.Header["Expect"] = []string{"100-continue"}
		send(t, policy.New(policy.Config{Next: up}), row.client, req)
		if got := up.requests[0].Header.Get("Expect"); got != row.want {
			t.Errorf("%s: the upstream got Expect: %q, want %q", name, got, row.want)
		}
	}
}

// A rejected request has no status of the upstream.
func TestPolicy_RejectionHasNoUpstreamStatus(t *testing.T) {
	record, resp, _ := send(t, policy.New(policy.Config{Next: &recorder{}}), &clients.Client{Name: "p", Paths: clients.Patterns{"/v1/files"}}, post("{}"))
	if resp.StatusCode != http.StatusForbidden || record.UpstreamStatus != 0 {
		t.Errorf("status %d, upstream status %d", resp.StatusCode, record.UpstreamStatus)
	}
}

// A request counts against the limits of every model that it names.
func TestPolicy_CountsEveryModel(t *testing.T) {
	limiter := ratelimit.NewMemory()
	defer func() { _ = limiter.Close() }()
	client := &clients.Client{
		Name:   "carol",
		Limits: ratelimit.Limits{RequestsPerMinute: 100},
		ModelLimits: []clients.ModelLimits{
			{Models: "image*", Limits: ratelimit.Limits{RequestsPerMinute: 1}},
			{Models: "small", Limits: ratelimit.Limits{RequestsPerMinute: 50}},
		},
	}
	sender := policy.New(policy.Config{Next: &recorder{response: response}, Limiter: limiter})
	for i, row := range []struct {
		body   string
		status int
	}{
		{`{"model": "small", "tools": [{"model": "image-1"}, {"model": "image-2"}]}`, 200},
		{`{"model": "small"}`, 200},
		{`{"model": "small", "tools": [{"model": "image-1"}]}`, 429},
		{`{"model": "image-3"}`, 429},
		{`{"model": "other", "models": ["small"]}`, 200},
	} {
		if _, resp, text := send(t, sender, client, post(row.body)); resp.StatusCode != row.status {
			t.Errorf("request %d: status %d, want %d: %s", i, resp.StatusCode, row.status, text)
		}
	}
}
