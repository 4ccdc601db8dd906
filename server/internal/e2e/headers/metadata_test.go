package headers_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestMetadata_ForwardedWithoutProtocolHeaders(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
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
	want.Set("Content-Length", strconv.Itoa(len(e2etest.HelloBody)))
	want.Set("Content-Type", "application/json")
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: metadata}
			if _, err := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion)); err != nil {
				t.Fatal(err)
			}
			got := e2etest.TakeOne(t, upstream)
			e2etest.CheckRequestHeader(t, got.Header, want)
			if got.Body != e2etest.HelloBody {
				t.Errorf("got body %s", got.Body)
			}
		})
	}
}

// Curl sends Expect: 100-continue with a large body.
func TestMetadata_ExpectIsNotForwarded(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	request := e2etest.Hello()
	request.Messages[0].Content = new(strings.Repeat("Hello! ", 400_000))
	body, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	status, _, err := e2etest.Curl(e2etest.Context(t), t, body, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}, front.URL+"/openaiconnect.chat.v1.ChatService/CreateChatCompletion",
		"-H", "content-type: application/json", "-H", "expect: 100-continue")
	if err != nil || status != http.StatusOK {
		t.Fatalf("got error %v and status %d from curl", err, status)
	}
	got := e2etest.TakeOne(t, upstream)
	e2etest.CheckRequestHeader(t, got.Header, http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"Content-Length":  {strconv.Itoa(len(got.Body))},
		"Content-Type":    {"application/json"},
	})
}

func checkResponseHeader(t *testing.T, got http.Header) {
	t.Helper()
	for name, want := range e2etest.ForwardedResponseHeaders {
		if !slices.Equal(got[name], want) {
			t.Errorf("got %s %q, want %q", name, got[name], want)
		}
	}
	for name := range e2etest.BlockedResponseHeaders {
		if values := got[name]; values != nil {
			t.Errorf("got %s %q, want none", name, values)
		}
	}
}

func TestMetadata_ContainsResponseHeaders(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		method  string
		answer  http.HandlerFunc
		failure bool
	}{
		"unary response":        {"CreateChatCompletion", servertest.JSON(http.StatusOK, e2etest.HelloCompletion), false},
		"unary error":           {"CreateChatCompletion", servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody), true},
		"stream":                {"StreamChatCompletion", servertest.Events(e2etest.HelloChunk, "[DONE]"), false},
		"error before a stream": {"StreamChatCompletion", servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody), true},
		"error in a stream":     {"StreamChatCompletion", servertest.Events(e2etest.HelloChunk, e2etest.RateLimitedBody), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, e2etest.WithResponseHeaders(row.answer))
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			for _, kind := range e2etest.ClientKinds() {
				t.Run(kind.Name, func(t *testing.T) {
					client := kind.Open(t, front)
					c := e2etest.Call{Method: row.method, Request: e2etest.Hello()}
					var header http.Header
					var err error
					if row.method == "CreateChatCompletion" {
						header, err = client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
					} else {
						header, err = client.Stream(e2etest.Context(t), c, func(*chatv1.ChatCompletionChunk) {})
					}
					if failed := err != nil; failed != row.failure {
						t.Fatalf("got error %v", err)
					}
					if row.failure {
						e2etest.CheckRateLimited(t, e2etest.AsRPCError(t, err))
					}
					checkResponseHeader(t, header)
				})
			}
		})
	}
}

// The upstream sends no event until the client has received the headers.
func TestMetadata_PrecedesFirstMessageOfStream(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{}, 1)
	upstream := servertest.StartUpstream(t, e2etest.WithResponseHeaders(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-seen:
			servertest.Events(e2etest.HelloChunk, "[DONE]")(w, r)
		case <-r.Context().Done():
		}
	}))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	t.Run("grpc-go", func(t *testing.T) {
		ctx := e2etest.Context(t)
		stream, err := front.GRPC(t).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, e2etest.StreamProcedure)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(e2etest.Hello()); err != nil {
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
		if id := header.Get("x-request-id"); !slices.Equal(id, e2etest.ForwardedResponseHeaders["X-Request-Id"]) {
			t.Errorf("got x-request-id %q", id)
		}
		chunk := new(chatv1.ChatCompletionChunk)
		if err := stream.RecvMsg(chunk); err != nil || chunk.GetId() != "chatcmpl-1" {
			t.Fatalf("got chunk %v and error %v", chunk, err)
		}
		if err := stream.RecvMsg(chunk); !errors.Is(err, io.EOF) {
			t.Errorf("got end of stream %v, want EOF", err)
		}
	})
	// In the other protocols the metadata is in the HTTP header.
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(e2etest.Hello())
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
			request := e2etest.NewPost(e2etest.Context(t), front.URL+e2etest.StreamProcedure, media, e2etest.Envelope(0, row.message))
			request.Header.Set("TE", "trailers")
			response, err := servertest.HTTPClient(t, row.http2).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			seen <- struct{}{}
			checkResponseHeader(t, response.Header)
			if _, message, err := e2etest.ReadEnvelope(response.Body); err != nil || !strings.Contains(string(message), "chatcmpl-1") {
				t.Errorf("got message %q and error %v", message, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
		})
	}
}
