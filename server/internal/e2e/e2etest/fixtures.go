package e2etest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The smallest request, and responses to it.
const (
	HelloBody       = `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!"}]}`
	HelloCompletion = `{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"m","choices":[]}`
	HelloChunk      = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"m",` +
		`"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}`
	RateLimitedBody = `{"error":{"message":"Slow down.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`
)

// TakeOne returns the request that the upstream received since the last call. It
// fails the test if there was not exactly one.
func TakeOne(t *testing.T, upstream *servertest.Upstream) servertest.Request {
	t.Helper()
	requests := upstream.Take()
	if len(requests) != 1 {
		t.Fatalf("got %d requests at the upstream, want 1", len(requests))
	}
	return requests[0]
}

// Headers of an upstream's response. The first are forwarded to typed clients,
// the others are not.
var (
	ForwardedResponseHeaders = http.Header{
		"Openai-Processing-Ms":           {"318"},
		"Openai-Version":                 {"2020-10-01"},
		"Retry-After":                    {"20"},
		"X-Ratelimit-Limit-Requests":     {"10000"},
		"X-Ratelimit-Remaining-Requests": {"9999"},
		"X-Ratelimit-Remaining-Tokens":   {"1999000"},
		"X-Ratelimit-Reset-Tokens":       {"30ms"},
		"X-Request-Id":                   {"req_1"},
		"X-Tag":                          {"one", "two"},
	}
	BlockedResponseHeaders = http.Header{
		"Access-Control-Expose-Headers": {"X-Request-ID"},
		"Alt-Svc":                       {`h3=":443"`},
		"Content-Language":              {"en"},
		"Set-Cookie":                    {"__cf_bm=1"},
		"Server":                        {"cloudflare"},
		"Strict-Transport-Security":     {"max-age=1"},
	}
)

// WithResponseHeaders wraps next and adds [ForwardedResponseHeaders] and
// [BlockedResponseHeaders].
func WithResponseHeaders(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), ForwardedResponseHeaders)
		maps.Copy(w.Header(), BlockedResponseHeaders)
		next(w, r)
	}
}

// CheckRateLimited checks that an error is [RateLimitedBody].
func CheckRateLimited(t *testing.T, failed *RPCError) {
	t.Helper()
	if failed.Code.String() != "resource_exhausted" || failed.Message != "Slow down." {
		t.Errorf("got error %v, want resource_exhausted: Slow down.", failed)
	}
	if failed.Retry.GetRetryDelay().AsDuration() != 20*time.Second {
		t.Errorf("got RetryInfo %v, want 20s", failed.Retry)
	}
	detail := failed.Detail
	if detail.GetMessage() != "Slow down." || detail.GetType() != "rate_limit_error" || detail.Param != nil ||
		detail.GetCode() != "rate_limit_exceeded" || detail.GetRequestId() != "req_1" {
		t.Errorf("got detail %v, want the upstream's error", detail)
	}
}

// URL paths of the RPCs that create completions.
const (
	CreateProcedure = "/openaiconnect.chat.v1.ChatService/CreateChatCompletion"
	StreamProcedure = "/openaiconnect.chat.v1.ChatService/StreamChatCompletion"
)

// NewPost returns a POST request with a body of a media type.
func NewPost(ctx context.Context, url, media string, body []byte) *http.Request {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", media)
	return request
}

// Health check statuses.
const (
	Serving        = grpc_health_v1.HealthCheckResponse_SERVING
	NotServing     = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	ServiceUnknown = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
)

// JSONTree returns a message in Protobuf's JSON form, parsed.
func JSONTree(tb testing.TB, m proto.Message) jsontree.Value {
	tb.Helper()
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := jsontree.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// ConnectRequestText returns the text of a unary Connect JSON request over
// HTTP/1.1. The target is its request target, the fields are header lines.
func ConnectRequestText(target, message string, fields ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\nContent-Type: application/json\nContent-Length: %d\n%s\n\n%s",
		target, len(message), strings.Join(fields, "\n"), message)
}

// HelloMessage is the smallest request in Protobuf's JSON form.
const HelloMessage = `{"model":"m","messages":[{"role":"ROLE_USER","content":"Hello!"}]}`

// RESTMessage is a message that is encoded as OpenAI's JSON.
type RESTMessage interface {
	proto.Message
	restjson.Encodable
}

// BenchCompletion is a response body of about 1 KB.
const BenchCompletion = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,` +
	`"model":"gpt-5.4-mini-2026-03-17","choices":[{"index":0,"message":{"role":"assistant","content":"` +
	"Hello! How can I assist you today?" + `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
	`"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
	`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},` +
	`"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}`

// BenchRequest returns a request of about 0.5 KB.
func BenchRequest() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{Model: "gpt-5.4-mini", Messages: []*chatv1.Message{
		{Role: chatv1.Role_ROLE_SYSTEM, Content: new("You are a helpful assistant.")},
		{Role: chatv1.Role_ROLE_USER, Content: new(strings.Repeat("Hello! ", 64))},
	}}
}

// ReadToEnd reads frames up to the end of a call and returns its error.
func (f *HTTP2Conn) ReadToEnd() error {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if head, ok := frame.(*http2.MetaHeadersFrame); ok && head.StreamEnded() {
			if status := head.Fields[0]; status.Name != "grpc-status" || status.Value != "0" {
				return fmt.Errorf("call failed: %v", head.Fields)
			}
			return nil
		}
	}
}

// ChatBody returns the request of [Hello] in Protobuf's JSON form.
func ChatBody(t *testing.T) string {
	t.Helper()
	text, err := protojson.Marshal(Hello())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
