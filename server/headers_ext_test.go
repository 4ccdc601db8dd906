package server_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The smallest call, and answers to it.
const (
	helloBody       = `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!"}]}`
	helloCompletion = `{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"m","choices":[]}`
	helloChunk      = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"m",` +
		`"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}`
	rateLimited = `{"error":{"message":"Slow down.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`
)

func TestMetadataGoesUpAndWhatDescribesTheRPCDoesNot(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, helloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	sent := http.Header{
		"Authorization":       {"Bearer another-key"},
		"Idempotency-Key":     {"a b, c"},
		"Openai-Organization": {"org-1"},
		"Openai-Project":      {"proj-1"},
		"X-Client-Request-Id": {"8c8c"},
		"X-Tag":               {"one", "two"},
	}
	stopped := http.Header{
		"Accept-Language":   {"de"},
		"Cookie":            {"session=1"},
		"Forwarded":         {"for=192.0.2.1"},
		"Origin":            {"https://example.com"},
		"Referer":           {"https://example.com/"},
		"Sec-Fetch-Mode":    {"cors"},
		"Via":               {"1.1 somewhere"},
		"X-Forwarded-For":   {"192.0.2.1"},
		"X-Forwarded-Proto": {"https"},
		"X-Real-Ip":         {"192.0.2.1"},
		"X-User-Agent":      {"grpc-web-javascript/0.1"},
	}
	metadata := sent.Clone()
	maps.Copy(metadata, stopped)
	want := sent.Clone()
	want.Set("Accept", "application/json")
	want.Set("Accept-Encoding", "identity")
	want.Set("Content-Length", strconv.Itoa(len(helloBody)))
	want.Set("Content-Type", "application/json")
	for _, kind := range clientKinds() {
		t.Run(kind.name, func(t *testing.T) {
			client := kind.open(t, front)
			c := call{method: "CreateChatCompletion", request: hello(), metadata: metadata}
			if _, err := client.unary(within(t), c, new(chatv1.ChatCompletion)); err != nil {
				t.Fatal(err)
			}
			got := take(t, upstream)
			checkHeader(t, got.Header, want)
			if got.Body != helloBody {
				t.Errorf("the body is %s", got.Body)
			}
		})
	}
}

// TestAnExpectationIsThisServersToMeet is about curl, which asks for leave to
// send a large body.
func TestAnExpectationIsThisServersToMeet(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, helloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	request := hello()
	request.Messages[0].Content = new(strings.Repeat("Hello! ", 400_000))
	body, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	status, _, err := curl(within(t), t, body, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}, front.URL+"/openaiconnect.chat.v1.ChatService/CreateChatCompletion",
		"-H", "content-type: application/json", "-H", "expect: 100-continue")
	if err != nil || status != http.StatusOK {
		t.Fatalf("curl ended with %v and the status %d", err, status)
	}
	got := take(t, upstream)
	checkHeader(t, got.Header, http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"Content-Length":  {strconv.Itoa(len(got.Body))},
		"Content-Type":    {"application/json"},
	})
}

// take returns the one request that the upstream has received.
func take(t *testing.T, upstream *servertest.Upstream) servertest.Request {
	t.Helper()
	requests := upstream.Take()
	if len(requests) != 1 {
		t.Fatalf("the upstream received %d requests, not one", len(requests))
	}
	return requests[0]
}

// Response headers that clients read, and some that are the upstream's own.
var (
	passedDown = http.Header{
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
	keptUp = http.Header{
		"Access-Control-Expose-Headers": {"X-Request-ID"},
		"Alt-Svc":                       {`h3=":443"`},
		"Content-Language":              {"en"},
		"Set-Cookie":                    {"__cf_bm=1"},
		"Server":                        {"cloudflare"},
		"Strict-Transport-Security":     {"max-age=1"},
	}
)

// withHeaders answers as next does, with those headers.
func withHeaders(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), passedDown)
		maps.Copy(w.Header(), keptUp)
		next(w, r)
	}
}

func checkResponseHeader(t *testing.T, got http.Header) {
	t.Helper()
	for name, want := range passedDown {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
	for name := range keptUp {
		if values := got[name]; values != nil {
			t.Errorf("%s came down: %q", name, values)
		}
	}
}

func TestResponseHeadersAreMetadata(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		method  string
		answer  http.HandlerFunc
		failure bool
	}{
		"of an answer":                  {"CreateChatCompletion", servertest.JSON(http.StatusOK, helloCompletion), false},
		"of an error":                   {"CreateChatCompletion", servertest.JSON(http.StatusTooManyRequests, rateLimited), true},
		"of a stream":                   {"StreamChatCompletion", servertest.Events(helloChunk, "[DONE]"), false},
		"of an error before a stream":   {"StreamChatCompletion", servertest.JSON(http.StatusTooManyRequests, rateLimited), true},
		"of a stream that has an error": {"StreamChatCompletion", servertest.Events(helloChunk, rateLimited), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, withHeaders(row.answer))
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			for _, kind := range clientKinds() {
				t.Run(kind.name, func(t *testing.T) {
					client := kind.open(t, front)
					c := call{method: row.method, request: hello()}
					var header http.Header
					var err error
					if row.method == "CreateChatCompletion" {
						header, err = client.unary(within(t), c, new(chatv1.ChatCompletion))
					} else {
						header, err = client.stream(within(t), c, func(*chatv1.ChatCompletionChunk) {})
					}
					if failed := err != nil; failed != row.failure {
						t.Fatalf("got the error %v", err)
					}
					if row.failure {
						checkRateLimited(t, failureOf(t, err))
					}
					checkResponseHeader(t, header)
				})
			}
		})
	}
}

func checkRateLimited(t *testing.T, failed *failure) {
	t.Helper()
	if failed.code.String() != "resource_exhausted" || failed.message != "Slow down." {
		t.Errorf("the error is %v", failed)
	}
	if failed.retry.GetRetryDelay().AsDuration() != 20*time.Second {
		t.Errorf("the time to try again after is %v", failed.retry)
	}
	detail := failed.detail
	if detail.GetMessage() != "Slow down." || detail.GetType() != "rate_limit_error" || detail.Param != nil ||
		detail.GetCode() != "rate_limit_exceeded" || detail.GetRequestId() != "req_1" {
		t.Errorf("the detail is %v", detail)
	}
}

// TestHeadersOfAStreamComeBeforeItsFirstMessage has an upstream that thinks: it
// sends no event until the client has seen the headers.
func TestHeadersOfAStreamComeBeforeItsFirstMessage(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{}, 1)
	upstream := servertest.StartUpstream(t, withHeaders(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-seen:
			servertest.Events(helloChunk, "[DONE]")(w, r)
		case <-r.Context().Done():
		}
	}))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	t.Run("gRPC by grpc-go", func(t *testing.T) {
		ctx := within(t)
		stream, err := front.GRPC(t).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, streamProcedure)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(hello()); err != nil {
			t.Fatal(err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		header, err := stream.Header()
		if err != nil {
			t.Fatal(err)
		}
		seen <- struct{}{}
		if id := header.Get("x-request-id"); !slices.Equal(id, passedDown["X-Request-Id"]) {
			t.Errorf("x-request-id is %q", id)
		}
		chunk := new(chatv1.ChatCompletionChunk)
		if err := stream.RecvMsg(chunk); err != nil || chunk.GetId() != "chatcmpl-1" {
			t.Fatalf("got %v and %v", chunk, err)
		}
		if err := stream.RecvMsg(chunk); !errors.Is(err, io.EOF) {
			t.Errorf("the stream ends with %v", err)
		}
	})
	// What these protocols have in common is that the response's header is
	// HTTP's.
	message, err := proto.Marshal(hello())
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(hello())
	if err != nil {
		t.Fatal(err)
	}
	for media, row := range map[string]struct {
		message []byte
		http2   bool
	}{
		"application/connect+json":  {text, false},
		"application/connect+proto": {message, false},
		"application/grpc":          {message, true},
		"application/grpc+json":     {text, true},
		"application/grpc-web":      {message, false},
	} {
		t.Run(media, func(t *testing.T) {
			request := post(within(t), front.URL+streamProcedure, media, envelope(0, row.message))
			request.Header.Set("TE", "trailers")
			response, err := servertest.HTTPClient(t, row.http2).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			seen <- struct{}{}
			checkResponseHeader(t, response.Header)
			if _, message, err := readEnvelope(response.Body); err != nil || !strings.Contains(string(message), "chatcmpl-1") {
				t.Errorf("got %q and %v", message, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
		})
	}
}

const (
	createProcedure = "/openaiconnect.chat.v1.ChatService/CreateChatCompletion"
	streamProcedure = "/openaiconnect.chat.v1.ChatService/StreamChatCompletion"
)

// post is a request with a body of a media type.
func post(ctx context.Context, url, media string, body []byte) *http.Request {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", media)
	return request
}
