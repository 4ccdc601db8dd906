package protocols_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The request that every driver sends: as REST, where %s is a placeholder for the
// fields of a stream; typed; and with OpenAI's SDK. The responses contain fields
// unknown to the schema.
const (
	parityREST = `{"model":"gpt-5.4-mini","messages":[` +
		`{"role":"developer","content":"Be brief."},` +
		`{"role":"user","content":[{"type":"text","text":"What's this? \"ä\" 👋\n"},` +
		`{"type":"image_url","image_url":{"url":"https://example.com/cat.png","detail":"low"}}]}],` +
		`"temperature":0,"max_completion_tokens":64,` +
		`"tools":[{"type":"function","function":{"name":"get_weather",` +
		`"parameters":{"type":"object","properties":{"zone":{"type":"string"},"city":{"type":"string"}}},"strict":true}}],` +
		`%s"store":false,"metadata":{"run":"7"},"playfulness":0.5%s}`

	sixWaysCompletion = `{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"gpt-5.4-mini-2026-03-17",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"A cat. \"Miau\" 🐈","refusal":null,` +
		`"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":4,"url":"https://example.com","title":"Cats"}}]},` +
		`"finish_reason":"stop","logprobs":null}],` +
		`"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25,"prompt_tokens_details":{"cached_tokens":0}},` +
		`"service_tier":"default","provider":{"name":"somewhere","big":12345678901234567890}}`
)

var parityChunks = []string{
	parityChunk(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`),
	parityChunk(`[{"index":0,"delta":{"content":"A cat. "},"finish_reason":null}]`),
	parityChunk(`[{"index":0,"delta":{"content":"\"Miau\" 🐈","reasoning_content":"hm"},"finish_reason":null}]`),
	parityChunk(`[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]`),
	parityChunk(`[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":null}]`),
	parityChunk(`[{"index":0,"delta":{},"finish_reason":"tool_calls"}]`),
	parityChunk(`[],"usage":{"prompt_tokens":20,"completion_tokens":5,"total_tokens":25}`),
}

func parityChunk(choices string) string {
	return `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"gpt-5.4-mini-2026-03-17","choices":` +
		choices + `,"obfuscation":"xk"}`
}

func parityRequest(stream bool) *chatv1.CreateChatCompletionRequest {
	request := &chatv1.CreateChatCompletionRequest{
		Model: "gpt-5.4-mini",
		Messages: []*chatv1.Message{
			{Role: chatv1.Role_ROLE_DEVELOPER, Content: new("Be brief.")},
			{Role: chatv1.Role_ROLE_USER, ContentParts: []*chatv1.ContentPart{
				{Part: &chatv1.ContentPart_Text{Text: "What's this? \"ä\" 👋\n"}},
				{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{
					Url: "https://example.com/cat.png", Detail: chatv1.ImageDetail_IMAGE_DETAIL_LOW,
				}}},
			}},
		},
		Temperature:         new(0.0),
		MaxCompletionTokens: new(int32(64)),
		Tools: []*chatv1.Tool{{Tool: &chatv1.Tool_Function{Function: &chatv1.FunctionTool{
			Name:           "get_weather",
			ParametersJson: `{"type":"object","properties":{"zone":{"type":"string"},"city":{"type":"string"}}}`,
			Strict:         new(true),
		}}}},
		Store:     new(false),
		Metadata:  map[string]string{"run": "7"},
		ExtraJson: `{"playfulness":0.5}`,
	}
	if stream {
		request.StreamOptions = &chatv1.StreamOptions{IncludeUsage: new(true)}
	}
	return request
}

func parityParams(stream bool) openai.ChatCompletionNewParams {
	params := openai.ChatCompletionNewParams{
		Model: "gpt-5.4-mini",
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.DeveloperMessage("Be brief."),
			openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.TextContentPart("What's this? \"ä\" 👋\n"),
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{
					URL: "https://example.com/cat.png", Detail: "low",
				}),
			}),
		},
		Temperature:         openai.Float(0),
		MaxCompletionTokens: openai.Int(64),
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: "get_weather",
			Parameters: shared.FunctionParameters{"type": "object", "properties": map[string]any{
				"zone": map[string]any{"type": "string"}, "city": map[string]any{"type": "string"},
			}},
			Strict: openai.Bool(true),
		})},
		Store:    openai.Bool(false),
		Metadata: shared.Metadata{"run": "7"},
	}
	params.SetExtraFields(map[string]any{"playfulness": 0.5})
	if stream {
		params.StreamOptions.IncludeUsage = openai.Bool(true)
	}
	return params
}

// parityBody returns the body that the upstream receives.
func parityBody(stream bool) string {
	if stream {
		return fmt.Sprintf(parityREST, `"stream_options":{"include_usage":true},`, `,"stream":true`)
	}
	return fmt.Sprintf(parityREST, "", "")
}

// driver makes the call with one client. Responses are OpenAI's JSON.
type driver struct {
	typed  bool
	unary  func(context.Context) ([]byte, error)
	stream func(ctx context.Context, receive func([]byte)) error
}

// driverKind opens drivers of one kind.
type driverKind struct {
	name string
	open func(testing.TB, *servertest.Front) driver
}

// driverKinds returns raw drivers and drivers for all typed clients.
func driverKinds() []driverKind {
	kinds := []driverKind{{"curl, raw", curlDriver}, {"OpenAI's SDK, raw", sdkDriver}}
	for _, kind := range e2etest.ClientKinds() {
		kinds = append(kinds, driverKind{kind.Name, func(tb testing.TB, front *servertest.Front) driver {
			tb.Helper()
			return rpcDriver(tb, kind.Open(tb, front))
		}})
	}
	return kinds
}

func curlDriver(tb testing.TB, front *servertest.Front) driver {
	tb.Helper()
	arguments := []string{
		front.URL + "/v1/chat/completions",
		"-H", "content-type: application/json", "-H", "authorization: Bearer " + servertest.Key,
	}
	return driver{
		unary: func(ctx context.Context) (body []byte, err error) {
			status, _, err := e2etest.Curl(ctx, tb, []byte(parityBody(false)), func(r io.Reader) (err error) {
				body, err = io.ReadAll(r)
				return err
			}, arguments...)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("got status %d", status)
			}
			return body, err
		},
		stream: func(ctx context.Context, receive func([]byte)) error {
			done := false
			_, _, err := e2etest.Curl(ctx, tb, []byte(parityBody(true)), func(r io.Reader) error {
				lines := bufio.NewScanner(r)
				for lines.Scan() {
					data, ok := strings.CutPrefix(lines.Text(), "data: ")
					switch {
					case data == "[DONE]":
						done = true
					case ok:
						receive([]byte(data))
					}
				}
				return lines.Err()
			}, arguments...)
			if err == nil && !done {
				err = errors.New("stream without [DONE]")
			}
			return err
		},
	}
}

func sdkDriver(tb testing.TB, front *servertest.Front) driver {
	tb.Helper()
	client := front.SDK(tb)
	return driver{
		unary: func(ctx context.Context) ([]byte, error) {
			completion, err := client.Chat.Completions.New(ctx, parityParams(false))
			if err != nil {
				return nil, err
			}
			return []byte(completion.RawJSON()), nil
		},
		stream: func(ctx context.Context, receive func([]byte)) error {
			stream := client.Chat.Completions.NewStreaming(ctx, parityParams(true))
			for stream.Next() {
				receive([]byte(stream.Current().RawJSON()))
			}
			return errors.Join(stream.Err(), stream.Close())
		},
	}
}

func rpcDriver(tb testing.TB, client e2etest.Client) driver {
	tb.Helper()
	full := func(message restjson.Encodable) []byte {
		text, err := restjson.AppendFull(nil, message)
		if err != nil {
			tb.Error(err)
		}
		return text
	}
	return driver{
		typed: true,
		unary: func(ctx context.Context) ([]byte, error) {
			completion := new(chatv1.ChatCompletion)
			_, err := client.Unary(ctx, e2etest.Call{Method: "CreateChatCompletion", Request: parityRequest(false)}, completion)
			return full(completion), err
		},
		stream: func(ctx context.Context, receive func([]byte)) error {
			_, err := client.Stream(ctx, e2etest.Call{Method: "StreamChatCompletion", Request: parityRequest(true)},
				func(chunk *chatv1.ChatCompletionChunk) { receive(full(chunk)) })
			return err
		},
	}
}

func TestParity_UnaryCall(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, sixWaysCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range driverKinds() {
		t.Run(kind.name, func(t *testing.T) {
			driver := kind.open(t, front)
			answer, err := driver.unary(e2etest.Context(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := restjsontest.Same([]byte(sixWaysCompletion), answer); err != nil {
				t.Errorf("response differs: %v", err)
			}
			checkParity(t, upstream, driver.typed, false)
		})
	}
}

// The upstream sends each event when the client has received the previous one.
func TestParity_Stream(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, len(parityChunks))
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, chunk := range parityChunks {
			_, _ = io.WriteString(w, "data: "+chunk+"\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-arrived:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range driverKinds() {
		t.Run(kind.name, func(t *testing.T) {
			driver := kind.open(t, front)
			var chunks [][]byte
			err := driver.stream(e2etest.Context(t), func(chunk []byte) {
				chunks = append(chunks, slices.Clone(chunk))
				arrived <- struct{}{}
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(chunks) != len(parityChunks) {
				t.Fatalf("%d chunks came, of %d", len(chunks), len(parityChunks))
			}
			for i, want := range parityChunks {
				if err := restjsontest.Same([]byte(want), chunks[i]); err != nil {
					t.Errorf("chunk %d differs: %v", i, err)
				}
			}
			checkParity(t, upstream, driver.typed, true)
		})
	}
}

func TestParity_Error(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.WithResponseHeaders(servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody)))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	t.Run("curl, raw", func(t *testing.T) {
		var body []byte
		status, header, err := e2etest.Curl(e2etest.Context(t), t, []byte(parityBody(false)), func(r io.Reader) (err error) {
			body, err = io.ReadAll(r)
			return err
		}, front.URL+"/v1/chat/completions", "-H", "content-type: application/json")
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusTooManyRequests || string(body) != e2etest.RateLimitedBody {
			t.Errorf("got status %d and body %s", status, body)
		}
		if after := header.Get("Retry-After"); after != "20" {
			t.Errorf("got Retry-After %q, want 20", after)
		}
	})
	t.Run("OpenAI's SDK, raw", func(t *testing.T) {
		_, err := sdkDriver(t, front).unary(e2etest.Context(t))
		failed, ok := errors.AsType[*openai.Error](err)
		if !ok {
			t.Fatalf("got error %v", err)
		}
		if failed.StatusCode != http.StatusTooManyRequests || failed.Message != "Slow down." ||
			failed.Type != "rate_limit_error" || failed.Code != "rate_limit_exceeded" {
			t.Errorf("got error %v", failed)
		}
		if id := failed.Response.Header.Get("X-Request-ID"); id != "req_1" {
			t.Errorf("got X-Request-Id %q", id)
		}
	})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			_, err := rpcDriver(t, client).unary(e2etest.Context(t))
			e2etest.CheckRateLimited(t, e2etest.AsRPCError(t, err))
		})
	}
}

// Connect JSON uses OpenAI's field names in responses. Requests may also use
// Protobuf's camel case.
func TestJSON_UsesOpenAIFieldNames(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, sixWaysCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, name := range []string{"max_completion_tokens", "maxCompletionTokens"} {
		var answer []byte
		status, _, err := e2etest.Curl(e2etest.Context(t), t,
			[]byte(`{"model":"gpt-5.4-mini","messages":[{"role":"ROLE_USER","content":"Hello!"}],"`+name+`":5}`),
			func(r io.Reader) (err error) {
				answer, err = io.ReadAll(r)
				return err
			}, front.URL+e2etest.CreateProcedure, "-H", "content-type: application/json")
		if err != nil || status != http.StatusOK {
			t.Fatalf("got error %v and status %d from curl", err, status)
		}
		want := `{"model":"gpt-5.4-mini","messages":[{"role":"user","content":"Hello!"}],"max_completion_tokens":5}`
		if got := e2etest.TakeOne(t, upstream).Body; got != want {
			t.Errorf("got body %s", got)
		}
		for _, want := range []string{`"finish_reason":`, `"FINISH_REASON_STOP"`, `"prompt_tokens_details":`, `"extra_json":`} {
			if !bytes.Contains(answer, []byte(want)) {
				t.Errorf("got body %[2]s, want it to contain %[1]s", want, answer)
			}
		}
	}
}

// checkParity checks the request at the upstream. Typed calls send an exact body and
// no other headers.
func checkParity(t *testing.T, upstream *servertest.Upstream, typed, stream bool) {
	t.Helper()
	requests := upstream.Take()
	if len(requests) != 1 {
		t.Fatalf("upstream received %d requests", len(requests))
	}
	got := requests[0]
	if got.Method != http.MethodPost || got.Target != "/v1/chat/completions" {
		t.Errorf("upstream received %s %s", got.Method, got.Target)
	}
	want := parityBody(stream)
	if err := restjsontest.Same([]byte(want), []byte(got.Body)); err != nil {
		t.Errorf("body differs: %v", err)
	}
	if auth := got.Header.Get("Authorization"); auth != "Bearer "+servertest.Key {
		t.Errorf("got authorization %q", auth)
	}
	if !typed {
		return
	}
	if got.Body != want {
		t.Errorf("got body\n%s\nwant\n%s", got.Body, want)
	}
	accept := "application/json"
	if stream {
		accept = "text/event-stream"
	}
	e2etest.CheckRequestHeader(t, got.Header, http.Header{
		"Accept":          {accept},
		"Accept-Encoding": {"identity"},
		"Authorization":   {"Bearer " + servertest.Key},
		"Content-Length":  {strconv.Itoa(len(want))},
		"Content-Type":    {"application/json"},
	})
}
